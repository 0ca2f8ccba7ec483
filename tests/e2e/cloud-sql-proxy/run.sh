#!/usr/bin/env bash
# Google's own cloud-sql-proxy must accept the sandbox: then what bsql accepts is no private agreement, and the two can be
# compared (benches/data-plane).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
"$here/install.sh"
export PROXY=$here/../../../target/e2e/go/bin/cloud-sql-proxy SANDBOX_LOG
SANDBOX_LOG=$(mktemp)
trap 'rm -f "$SANDBOX_LOG"' EXIT
"$BSQL" --log-file "$SANDBOX_LOG" sandbox run -- bash "$here/inner.sh"
