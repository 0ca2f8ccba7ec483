#!/usr/bin/env bash
# Starts the sandbox, for its people and instances, PostgreSQL, and Backstage on it; then runs a script in that world.
set -euo pipefail
. "$here/../lib.sh"
. "$here/pg.sh"
backstage=
cleanup() {
  if [ -n "$backstage" ]; then
    kill "$backstage" 2>/dev/null || true
    wait "$backstage" 2>/dev/null || true
  fi
  pg_stop 2>/dev/null || true
  "$BSQL" sandbox down 2>/dev/null || true
  rm -rf "$dir"
}
trap cleanup EXIT

began=$(date +%s%N)
took() { echo "$(($(($(date +%s%N) - began)) / 1000000)) ms: $*"; }
# start_backstage [NAME=VALUE...]: with more settings, as Backstage reads them from the environment.
start_backstage() {
  if [ -n "$backstage" ]; then
    kill "$backstage"
    wait "$backstage" || true
  fi
  log=$dir/backstage.log
  (cd "$BACKSTAGE" && NODE_ENV=production NO_COLOR=1 exec env "$@" node --no-node-snapshot scale/index.js --config scale/app-config.yaml) \
    >"$log" 2>&1 &
  backstage=$!
  eventually "it was ready" curl -fsS "$BSQL_BACKSTAGE_URL/.backstage/health/v1/readiness"
}
# How many requests for the catalog bsql has made, by Backstage's audit log.
asked() { grep '"status":"initiated"' "$log" | grep -c '"userAgent":"bsql/' || true; }
# requests COMMAND...: runs it, with its output in $out, and says in $asked how often it asked the catalog.
requests() {
  local before
  before=$(asked)
  out=$("$@" 2>"$dir/said") || fail "\`$*\` failed: $(cat "$dir/said")"
  said=$(cat "$dir/said")
  asked=$(($(asked) - before))
}

"$BSQL" sandbox up --detach --auto-approve
ISSUER=$(sed -n 's/^issuer = "\(.*\)"/\1/p' "$BSQL_CONFIG")
FAKE=$(sed -n '/^\[profiles.sandbox.backstage\]/,/^\[/s/^url = "\(.*\)"/\1/p' "$BSQL_CONFIG")
PORT=$(free_port) PG_PORT=$(free_port)
SEED=$dir/seed.yaml IMPORTED=$dir/imported.json
STATIC_TOKEN=e2e-static-0123456789abcdef DENIED_TOKEN=e2e-denied-0123456789abcdef
export ISSUER FAKE PORT PG_PORT SEED IMPORTED STATIC_TOKEN DENIED_TOKEN
# The sandbox's own entities, so that its Backstage and this one have the same.
node -e '
  for (const entity of JSON.parse(require("fs").readFileSync(process.argv[1])))
    console.log("---\n" + JSON.stringify({ apiVersion: "backstage.io/v1alpha1", ...entity }));
' "$root/src/sandbox/catalog/acme.json" >"$SEED"
pg_start
took "PostgreSQL is there"
export BSQL_IDENTITY_TOKEN_STORE=file BSQL_BACKSTAGE_URL=http://127.0.0.1:$PORT BSQL_BACKSTAGE_AUTH=id-token
start_backstage
took "Backstage is ready"
"$BSQL" login --flow device
seeded=$(grep -c '^---' "$SEED")
everything_read() { [ "$(catalog_sql -c "select count(*) from final_entities where final_entity is not null")" -gt "$seeded" ]; }
eventually "the seed was read in" everything_read
took "the seed's $seeded entities are there"
. "$here/$1.sh"
took "the end"
