#!/usr/bin/env bash
# A real Backstage must understand bsql: then what the sandbox's Backstage accepts is no private agreement.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
. "$here/install.sh"
cp "$here/index.js" "$here/app-config.yaml" "$here/catalog.yaml" "$BACKSTAGE"
# The people and the instances are the sandbox's; the catalog is Backstage's.
LIB=$here/../lib.sh "$BSQL" sandbox run -- bash "$here/inner.sh"
