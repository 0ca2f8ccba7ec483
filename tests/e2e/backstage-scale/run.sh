#!/usr/bin/env bash
# A real Backstage on PostgreSQL with 10,000 entities, odd ones among them, and a real importer of Cloud SQL instances.
#
#   run.sh                  the cases of inner.sh
#   run.sh bench            the figures of bench.sh instead
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
BSQL=${BSQL:-$root/target/debug/bsql}
. "$here/../backstage/install.sh"

# Its npm dependencies are 200 MB of which nothing is needed here, so only the package itself is fetched.
importer=@backtostage/plugin-catalog-backend-module-gcp@0.3.1
checksum=$(cat "$here/importer.sha512")
if [ "$(cat "$BACKSTAGE/importer/installed" 2>/dev/null)" != "$checksum" ]; then
  rm -rf "$BACKSTAGE/importer"
  mkdir "$BACKSTAGE/importer"
  (
    cd "$BACKSTAGE/importer"
    npm pack --silent "$importer" >/dev/null
    echo "$checksum  $(echo ./*.tgz)" | sha512sum --check --quiet
    tar xzf ./*.tgz
    echo "$checksum" >installed
  )
fi
mkdir -p "$BACKSTAGE/scale"
cp "$here"/*.js "$here"/*.mjs "$here"/*.yaml "$here"/*.json "$BACKSTAGE/scale"

dir=$(mktemp -d)
export here root dir BSQL BSQL_CONFIG=$dir/config.toml BSQL_STATE_DIR=$dir/state BSQL_CACHE_DIR=$dir/cache BSQL_RUNTIME_DIR=$dir/run
bash "$here/world.sh" "${1:-inner}"
