#!/usr/bin/env bash
# Google's own cloud-sql-proxy must accept the sandbox: then what bsql accepts is no private agreement, and the two can be
# compared (benches/data-plane).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
"$here/install.sh"
PROXY=$here/../../../target/e2e/go/bin/cloud-sql-proxy exec "$BSQL" sandbox run -- bash "$here/inner.sh"
