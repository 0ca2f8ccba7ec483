# The figures. Runs in the world of world.sh: `run.sh bench`. Meaningful with a release build on a machine that is idle.

node "$BACKSTAGE/scale/bulk.js" 10000 rows | catalog_sql -f - >/dev/null
TEAM=group:default/team-00010
# counted COMMAND...: how often it asks the catalog, whether or not it gets on.
counted() {
  local before
  before=$(asked)
  "$@" >/dev/null 2>&1 || true
  echo $(($(asked) - before))
}
TOKEN=$STATIC_TOKEN
COLD_LS=$(counted "$BSQL" ls -o name)
rm -rf "$BSQL_CACHE_DIR"
COLD_CONNECT=$(counted "$BSQL" connect invoices-00000-staging --dry-run)
"$BSQL" ls -o name >/dev/null
WARM=$(($(counted "$BSQL" ls -o name) + $(counted "$BSQL" connect invoices-00000-staging --dry-run)))
# What the list of a team asks for, as Backstage has noted it: a GET's whole question is in its address.
"$BSQL" ls --owner $TEAM -o name >/dev/null
REQUESTS=$(node -e '
  const lines = require("fs").readFileSync(process.argv[1], "utf8").split("\n");
  const asked = lines.filter(line => line.includes("\"status\":\"initiated\"") && line.includes("\"userAgent\":\"bsql/"));
  console.log(JSON.stringify(asked.map(line => JSON.parse(line).request).filter(({ method }) => method === "GET").map(({ url }) => url)));
' "$log")
DATABASES=100000 node "$BACKSTAGE/scale/endless.mjs" >"$dir/endless" &
endless=$!
until [ -s "$dir/endless" ]; do sleep 0.1; done
ENDLESS=http://127.0.0.1:$(cat "$dir/endless") ENDLESS_CACHE=$dir/endless-cache
export TEAM TOKEN COLD_LS COLD_CONNECT WARM REQUESTS ENDLESS ENDLESS_CACHE
python3 "$here/bench.py" || echo "the figures could not be taken" >&2
kill $endless
