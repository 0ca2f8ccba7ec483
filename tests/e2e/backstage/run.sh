#!/usr/bin/env bash
# A real Backstage must understand bsql: then what the sandbox's Backstage accepts is no private agreement.
#
# The first run installs some 850 npm packages, which takes minutes; Node 20 or newer is needed.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
export BACKSTAGE=$root/target/e2e/backstage
mkdir -p "$BACKSTAGE"
if ! cmp -s "$here/package-lock.json" "$BACKSTAGE/installed.json"; then
  cp "$here/package.json" "$here/package-lock.json" "$BACKSTAGE"
  (cd "$BACKSTAGE" && npm ci --no-audit --no-fund --loglevel=error)
  cp "$here/package-lock.json" "$BACKSTAGE/installed.json"
fi
cp "$here/index.js" "$here/app-config.yaml" "$here/catalog.yaml" "$BACKSTAGE"
# The people and the instances are the sandbox's; the catalog is Backstage's.
"$BSQL" sandbox run -- bash "$here/inner.sh"
