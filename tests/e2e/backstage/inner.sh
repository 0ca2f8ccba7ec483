#!/usr/bin/env bash
# Runs in a sandbox of its own, see run.sh.
set -euo pipefail
dir=$(mktemp -d)
backstage=
cleanup() {
  if [ -n "$backstage" ]; then
    kill "$backstage" 2>/dev/null || true
    wait "$backstage" 2>/dev/null || true
  fi
  rm -rf "$dir"
}
trap cleanup EXIT
. "$LIB"

ISSUER=$(sed -n 's/^issuer = "\(.*\)"/\1/p' "$BSQL_CONFIG")
PORT=$(free_port)
log=$dir/backstage.log
export ISSUER PORT
began=$SECONDS
(cd "$BACKSTAGE" && NODE_ENV=development NO_COLOR=1 exec node --no-node-snapshot index.js --config app-config.yaml) \
  >"$log" 2>&1 &
backstage=$!
# Backstage offers a sign-in of its own, which comes last.
# The test makes tokens older where they are kept, which must not be a keyring.
export BSQL_IDENTITY_TOKEN_STORE=file
# Each command is to ask Backstage.
export BSQL_CATALOG_CACHE_TTL=0s
export BSQL_BACKSTAGE_URL=http://127.0.0.1:$PORT BSQL_BACKSTAGE_AUTH=id-token

eventually "it was ready" curl -fsS "$BSQL_BACKSTAGE_URL/.backstage/health/v1/readiness"
echo "Backstage is ready after $((SECONDS - began)) s"

# Nobody is signed in yet, and Backstage lets nobody else read.
refused 67 "$BSQL" ls --all
[ "$(curl -s -o /dev/null -w '%{http_code}' "$BSQL_BACKSTAGE_URL/api/catalog/entities/by-query?limit=0")" = 401 ] ||
  fail "this Backstage answers everybody"
"$BSQL" login --flow device

all=$'ledger\norders-staging\npayments-production\npayments-staging\nlegacy/ledger'
ingested() { [ "$("$BSQL" ls --all -o name)" = "$all" ]; }
eventually "the catalog was read in" ingested
echo "the catalog is there after $((SECONDS - began)) s"

expect "ada's databases" $'ledger\npayments-production\npayments-staging' "$("$BSQL" ls -o name)"
expect "databases of orders" $'orders-staging\nlegacy/ledger' "$("$BSQL" ls --owner orders -o name)"
expect "databases in production" payments-production "$("$BSQL" ls --all --env production -o name)"
expect "databases of checkout" $'payments-production\npayments-staging' "$("$BSQL" ls --all --system checkout -o name)"
expect "who she is" user:default/ada "$("$BSQL" whoami -o json | value .catalog_user)"
expect "her groups" group:default/payments "$("$BSQL" whoami -o json | value .groups[0])"

shown=$("$BSQL" show payments-staging -o json)
for field in ref=resource:default/payments-staging title='Payments (staging)' description='What was paid, and by whom' \
  owner=group:default/payments system=checkout environment=staging engine=PostgreSQL \
  instance=acme-staging:europe-west1:payments database=payments database_user=ada@acme.example; do
  expect "${field%%=*}" "${field#*=}" "$(value ".${field%%=*}" <<<"$shown")"
done
expect "the link" Console "$(value '.links[0].title' <<<"$shown")"

# By component and environment, in both spellings, and by reference in any case.
for name in payments-api@production payments-api-production payments@production Resource:Default/Payments-Production; do
  expect "$name" resource:default/payments-production "$("$BSQL" show "$name" -o json | value .ref)"
done

refused 68 "$BSQL" show ledger
says 'resource:default/ledger'
says 'resource:legacy/ledger'
refused 68 "$BSQL" show payments-api
says 'resource:default/payments-staging'
says 'resource:default/payments-production'
refused 68 "$BSQL" show paymets-staging
says 'did you mean `resource:default/payments-staging`?'
refused 65 "$BSQL" connect payments-bucket --dry-run

# From the real catalog to a real database.
expect "a query" $'current_user\nada@acme.example' "$("$BSQL" query payments-staging 'select current_user' -o csv | tr -d '\r')"

# What a command prints: Backstage's own token of somebody who is signed in there, and one that it does not know.
guest='curl -fsS "$BSQL_BACKSTAGE_URL/api/auth/guest/refresh" | node -p "JSON.parse(fs.readFileSync(0)).backstageIdentity.token"'
printf '%s\n' "$guest" >"$dir/token"
with_token=(env BSQL_BACKSTAGE_AUTH=token-command)
expect "with a command's token" "$all" "$("${with_token[@]}" BSQL_BACKSTAGE_TOKEN_COMMAND="bash,$dir/token" "$BSQL" ls --all -o name)"
refused 77 "${with_token[@]}" BSQL_BACKSTAGE_TOKEN_COMMAND=echo,wrong "$BSQL" ls --all
says "does not accept your sign-in"
refused 69 "${with_token[@]}" BSQL_BACKSTAGE_TOKEN_COMMAND=false "$BSQL" ls --all --refresh
refused 77 env BSQL_BACKSTAGE_AUTH=none "$BSQL" ls --all
# There is no proxy here, and Backstage has no such provider.
refused 78 env BSQL_BACKSTAGE_AUTH=iap "$BSQL" ls --all
says "gcpIap"
refused 78 env BSQL_BACKSTAGE_AUTH=iap BSQL_BACKSTAGE_IAP_AUDIENCE=other "$BSQL" ls --all
says 'is for `bsql`'
# Backstage's own OAuth server. Nobody has a browser here, so ada agrees by Backstage's API.
export BSQL_BACKSTAGE_AUTH=auto
refused 67 "$BSQL" ls --all
# answer approve|reject: answers the next sign-in of bsql, which runs meanwhile, and waits for its end.
answer() {
  rm -f "$dir/login" # what the one before asked for
  "$BSQL" login --flow browser >"$dir/login" 2>&1 &
  local login=$! page id redirect
  asked() { page=$(grep -o 'http://[^ ]*/oauth2/authorize/[-0-9a-f]\{36\}' "$dir/login"); }
  eventually "bsql asked for the sign-in" asked
  id=${page##*/}
  redirect=$(curl -fsS -X POST -H "Authorization: Bearer $(bash "$dir/token")" \
    "$BSQL_BACKSTAGE_URL/api/auth/v1/sessions/$id/$1" | value .redirectUrl)
  curl -fsSL -o "$dir/page" "$redirect"
  local status=0
  wait $login || status=$?
  said=$(cat "$dir/login")
  return $status
}
status=0
answer reject || status=$?
[ $status = 77 ] || fail "a sign-in that was declined ended with $status: $said"
says "the sign-in to Backstage was declined"
answer approve || fail "cannot sign in: $said"
says "signed in to Backstage as user:default/ada"
expect "with Backstage's token" "$all" "$("$BSQL" ls --all -o name)"
expect "once is enough" "already signed in to Backstage as user:default/ada" "$("$BSQL" login 2>&1 | tail -n 1)"

# The end of the access token: several bsql at once, and each refresh token is good for one of them only.
old() {
  node -e '
    const fs = require("fs"), dir = process.env.BSQL_STATE_DIR + "/tokens/";
    for (const file of fs.readdirSync(dir).filter(name => /^[0-9a-f]{64}$/.test(name))) {
      const tokens = JSON.parse(fs.readFileSync(dir + file));
      const { iss } = JSON.parse(Buffer.from(tokens.access_token.split(".")[1] || "e30", "base64url"));
      if (iss !== process.env.BSQL_BACKSTAGE_URL + "/api/auth") continue;
      fs.writeFileSync(dir + file, JSON.stringify({ ...tokens, expires_at: 1 }));
      console.log(tokens.refresh_token);
    }'
}
before=$(old)
[ -n "$before" ] || fail "Backstage's tokens are not in $BSQL_STATE_DIR/tokens"
pids=()
for n in 1 2 3 4; do "$BSQL" ls --all -o name >"$dir/ls$n" 2>&1 & pids+=($!); done
for n in 1 2 3 4; do
  wait "${pids[n - 1]}" || fail "a refresh failed: $(cat "$dir/ls$n")"
  expect "after a refresh" "$all" "$(cat "$dir/ls$n")"
done
after=$(old)
[ -n "$after" ] && [ "$after" != "$before" ] || fail "the refresh token is the one of before"

"$BSQL" logout >"$dir/logout" 2>&1
grep -q "signed out of Backstage" "$dir/logout" || fail "not signed out: $(cat "$dir/logout")"
refresh=$(curl -s -d grant_type=refresh_token -d "refresh_token=$after" "$BSQL_BACKSTAGE_URL/api/auth/v1/token")
expect "the revoked refresh token" invalid_grant "$(value .error <<<"$refresh")"
echo "the whole test took $((SECONDS - began)) s"
