# The cases. Runs in the world of world.sh.

bulk() { node "$BACKSTAGE/scale/bulk.js" 10000 "$@"; }
# at_most N WHAT: of the requests that the last command made.
at_most() { [ "$asked" -le "$1" ] || fail "$2 asked the catalog $asked times, not $1 times at most"; }
# No command of a terminal's, and nothing that turns text around, may come through.
harmless() {
  local bad
  bad=$(LC_ALL=C grep -naP '[\x00-\x08\x0b-\x1f\x7f]|\xe2\x80[\xaa-\xae]|\xe2\x81[\xa6-\xa9]' <<<"$2" | cat -v) || return 0
  fail "$1 brought through to the terminal: $bad"
}
# refused_as WHAT STATUSES COMMAND...: ends with one of the statuses, and says so in a sentence that harms nobody.
refused_as() {
  local what=$1 statuses=$2 status=0
  shift 2
  said=$("$@" 2>&1 >/dev/null) || status=$?
  case " $statuses " in *" $status "*) ;; *) fail "$what ended with $status instead of one of $statuses: $said" ;; esac
  [ -n "$said" ] || fail "$what was refused without a word"
  harmless "$what" "$said"
}
ref_of() { "$BSQL" show "$1" -o json | value .ref; }

# Is the sandbox's Backstage like this one? Before there is more in it than in the sandbox's.
token=$(node -e '
  const fs = require("fs"), dir = process.env.BSQL_STATE_DIR + "/tokens/";
  for (const file of fs.readdirSync(dir).filter(name => /^[0-9a-f]{64}$/.test(name))) {
    const { id_token } = JSON.parse(fs.readFileSync(dir + file));
    if (id_token) console.log(id_token);
  }')
REAL=$BSQL_BACKSTAGE_URL FAKE=${FAKE%/} TOKEN=$token CONTROL=$BSQL_STATE_DIR/sandbox/running.json node "$BACKSTAGE/scale/compare.mjs"
took "the sandbox answers as Backstage does"

bulk rows | catalog_sql -f - >/dev/null
cp "$here/instances.json" "$IMPORTED"
imported() { [ "$(catalog_sql -c "select count(*) from final_entities where final_entity like '%google-sql-database-entity-provider%'")" = 5 ]; }
eventually "the importer had run" imported
took "the catalog has $(catalog_sql -c 'select count(*) from final_entities') entities"

# What the importer writes needs no settings: no annotation of bsql's, no region, no name of a database.
imported=$'acme-production/ledger-cloudsql\nacme-production/payments-cloudsql\nacme-staging/ledger-cloudsql\nacme-staging/orders-cloudsql\nacme-staging/payments-cloudsql'
expect "what was imported" "$imported" "$("$BSQL" ls --all -o name | grep '^acme-' | LC_ALL=C sort)"
expect "ada's of it" $'acme-production/payments-cloudsql\nacme-staging/payments-cloudsql' "$("$BSQL" ls -o name | grep '^acme-' | LC_ALL=C sort)"
shown=$("$BSQL" show acme-staging/payments-cloudsql -o json)
expect "its owner" group:default/payments "$(value .owner <<<"$shown")"
expect "its system" checkout "$(value .system <<<"$shown")"
case "$(value .instance <<<"$shown")" in acme-staging*payments) ;; *) fail "not its instance: $shown" ;; esac
dry=$("$BSQL" connect acme-staging/payments-cloudsql --dry-run 2>&1)
case "$dry" in *acme-staging:europe-west1:payments*) ;; *) fail "the region was not looked up: $dry" ;; esac
expect "a query" $'current_user\nada@acme.example' "$("$BSQL" query acme-staging/ledger-cloudsql 'select current_user' -o csv | tr -d '\r')"
refused 68 "$BSQL" show payments-cloudsql
says acme-staging/payments-cloudsql
says acme-production/payments-cloudsql
took "the importer's entities resolve"

# Lists: whole, each once, in order.
requests "$BSQL" ls --owner crowd -o name
expect "a big team's databases" "$(bulk databases group:default/crowd)" "$out"
at_most 2 "a big team's list"
rm -rf "$BSQL_CACHE_DIR"
requests "$BSQL" ls -o name
at_most 2 "the own list"
bulk databases group:default/payments >"$dir/mine"
expect "ada's databases in the bulk" "" "$(comm -23 <(LC_ALL=C sort "$dir/mine") <(LC_ALL=C sort <<<"$out"))"
# Too many owners for a URL go into a body.
owners=()
for n in $(seq 150); do owners+=(--owner "group:default/a-team-with-a-rather-long-name-number-$n"); done
expect "with 150 owners more" "$("$BSQL" ls --owner payments -o name)" \
  "$("$BSQL" ls --owner payments "${owners[@]}" -o name --log-file "$dir/owners.log")"
grep -q POST "$dir/owners.log" || fail "was not asked in a body: $(cat "$dir/owners.log")"
requests "$BSQL" ls --all -o name
bulk databases >"$dir/bulk"
[ "$(wc -l <"$dir/bulk")" -gt 5000 ] || fail "there are few databases"
expect "all of the bulk" "" "$(comm -23 <(LC_ALL=C sort "$dir/bulk") <(LC_ALL=C sort <<<"$out"))"
expect "nothing twice" "" "$(sort <<<"$out" | uniq -d)"
grep -v / <<<"$out" | LC_ALL=C sort -c || fail "the list is not in order"
at_most $(($(wc -l <<<"$out") / 500 + 1)) "the whole list"
for output in table wide json csv; do
  "$BSQL" ls --owner curious -o $output >"$dir/listed" 2>&1
  harmless "ls -o $output" "$(cat "$dir/listed")"
  grep -q odd-title "$dir/listed" || fail "ls -o $output has no odd-title: $(cat "$dir/listed")"
done
took "lists"

# Names.
rm -rf "$BSQL_CACHE_DIR"
requests "$BSQL" connect invoices-00000-staging --dry-run
case "$out$said" in *acme-staging:*) ;; *) fail "a dry run says nothing of the instance: $out$said" ;; esac
at_most 2 "connect by a database's name"
rm -rf "$BSQL_CACHE_DIR"
requests "$BSQL" connect invoices-00000@production --dry-run
case "$out$said" in *acme-production:*) ;; *) fail "not the production of a component: $out$said" ;; esac
at_most 2 "connect by a component's name"
expect "a name with its namespace" resource:emea/twin "$(ref_of emea/twin)"
expect "a reference" resource:apac/twin "$(ref_of Resource:APAC/Twin)"
expect "a name that is in one namespace only" resource:emea/only-in-emea "$(ref_of only-in-emea)"
refused 68 "$BSQL" connect twin --dry-run
for namespace in default emea apac; do says "resource:$namespace/twin"; done
refused 68 "$BSQL" show settlement
for name in main-staging main-production reporting-staging; do says "settlement-$name"; done
expect "the only one in production" resource:default/settlement-main-production "$(ref_of settlement@production)"
refused 68 "$BSQL" show settlement@staging
says settlement-main-staging
says settlement-reporting-staging
refused 68 "$BSQL" show setlement-main-staging
says settlement-main-staging
refused 68 "$BSQL" show invoices-00000-stagin
says invoices-00000-staging
expect "63 letters" "resource:default/$(printf 'n%.0s' {1..63})" "$(ref_of "$(printf 'n%.0s' {1..63})")"
for name in "$(printf 'n%.0s' {1..300})" 'a,b' '%' "it's" 'ünïcode' $'\e[31mred' 'a b' 'resource:' '/x' 'a/b/c' '@staging' '--' 'group:default/crowd'; do
  refused_as "the name $(cat -v <<<"$name")" '64 65 68' "$BSQL" show -- "$name"
done
took "names"

# Odd entities.
expect "5 MB" resource:default/five-megabytes "$(ref_of five-megabytes)"
"$BSQL" show five-megabytes >/dev/null
for name in odd-title dangling bare wrong-instance; do
  "$BSQL" show $name >"$dir/shown" 2>&1 || [ $name = bare ] || [ $name = wrong-instance ] || fail "show $name: $(cat "$dir/shown")"
  harmless "show $name" "$(cat "$dir/shown")"
done
expect "an owner who is gone" group:default/left-the-company "$("$BSQL" show dangling -o json | value .owner)"
for name in bare wrong-instance; do refused_as "connect $name" 65 "$BSQL" connect $name --dry-run; done
took "odd entities"

# Permissions that leave nothing. Backstage says that there is nothing; bsql must not say that it knows that.
denied=(env BSQL_BACKSTAGE_AUTH=token-command BSQL_BACKSTAGE_TOKEN_COMMAND="echo,$DENIED_TOKEN" BSQL_CACHE_DIR="$dir/denied")
refused 68 "${denied[@]}" "$BSQL" show payments-staging
grep -Eiq 'may not see|not visible|may not|permi' <<<"$said" || fail "a denial is told as an absence: $said"
expect "what nobody may see" "" "$("${denied[@]}" "$BSQL" ls --all -o name 2>/dev/null || true)"

# The cache: what was just asked is not asked again, and is there without Backstage.
rm -rf "$BSQL_CACHE_DIR"
mine=$("$BSQL" ls -o name)
"$BSQL" ls --owner crowd -o name >/dev/null
"$BSQL" connect invoices-00000-staging --dry-run >/dev/null 2>&1
for command in 'ls -o name' 'ls --owner crowd -o name' 'connect invoices-00000-staging --dry-run' 'ls --offline -o name'; do
  # shellcheck disable=SC2086 # words
  requests "$BSQL" $command
  at_most 0 "\`$command\` with a warm cache"
done
requests "$BSQL" ls --refresh -o name
[ "$asked" -ge 1 ] || fail "--refresh did not ask"
expect "the list, refreshed" "$mine" "$out"
complete() {
  COMPLETE=bash _CLAP_IFS=$'\n' _CLAP_COMPLETE_INDEX=$(($# - 1)) _CLAP_COMPLETE_COMP_TYPE=9 _CLAP_COMPLETE_SPACE=false "$BSQL" -- "$@"
}
requests complete bsql connect invoices-00000-st
expect "completion" invoices-00000-staging "$(tr -d ' ' <<<"$out")"
at_most 0 "completion"

# 500 databases, and then none: more likely a broken importer than a company without databases.
catalog_sql -c "delete from final_entities where entity_id in (select entity_id from search where key = 'relations.ownedby' and value = 'group:default/crowd')"
requests "$BSQL" ls --owner crowd --refresh -o table
[ "$asked" -ge 1 ] || fail "--refresh did not ask"
grep -q invoices-00000-staging <<<"$out" || fail "the list of before is gone: $out"
[ -n "$said" ] || fail "nothing was said of a list that shrank to nothing"
expect "the list of before" "$(bulk databases group:default/crowd)" "$("$BSQL" ls --owner crowd --offline -o name)"

kill "$backstage"
wait "$backstage" || true
backstage=
expect "the list without Backstage" "$mine" "$("$BSQL" ls -o name)"
expect "the list offline" "$mine" "$("$BSQL" ls --offline -o name)"
took "the cache"

# A limit of 5 requests in 3 seconds, when all databases take more: either it waits as long as Backstage says and brings
# all of them, or it says how long to wait (75) and brings none. Never some of them as if they were all.
start_backstage APP_CONFIG_backend_rateLimit_plugin_catalog='{"window":"3s","incomingRequestLimit":5,"ipAllowList":[]}'
rm -rf "$BSQL_CACHE_DIR"
status=0
out=$("$BSQL" ls --all -o name 2>"$dir/said") || status=$?
said=$(cat "$dir/said")
grep -q '"status":429' "$log" || fail "the limit was never met"
case $status in
  0)
    bulk databases group:default/crowd | LC_ALL=C sort >"$dir/gone"
    expect "all of the bulk, in spite of the limit" "" "$(LC_ALL=C sort "$dir/bulk" | comm -23 - "$dir/gone" | comm -23 - <(LC_ALL=C sort <<<"$out"))"
    expect "nothing twice, in spite of the limit" "" "$(sort <<<"$out" | uniq -d)"
    ;;
  75)
    expect "no part of a list" "" "$out"
    grep -Eq '[1-3] s' <<<"$said" || fail "it does not say how long to wait: $said"
    sleep 3
    expect "the list, after that" "$mine" "$("$BSQL" ls -o name)"
    ;;
  *) fail "\`ls --all\` ended with $status at a limit: $said" ;;
esac
took "limits"
