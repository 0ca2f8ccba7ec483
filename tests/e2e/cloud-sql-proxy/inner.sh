#!/usr/bin/env bash
# Runs in a sandbox of its own, see run.sh.
set -euo pipefail
dir=$(mktemp -d)
proxy=
cleanup() {
  [ -z "$proxy" ] || { kill "$proxy" 2>/dev/null || true; wait "$proxy" 2>/dev/null || true; }
  rm -rf "$dir"
}
trap cleanup EXIT
fail() { echo "$*" >&2; [ ! -s "$dir/log" ] || cat "$dir/log" >&2; exit 1; }
expect() { [ "$2" = "$3" ] || fail "$1: expected"$'\n'"$2"$'\n'"and not"$'\n'"$3"; }
endpoint() { sed -n "s/^$1 = \"\(.*\)\"/\1/p" "$BSQL_CONFIG"; }
instance=acme-staging:europe-west1:payments

# token PERSON SCOPE: an access token of the sandbox's Google.
token() {
  curl -fsS "$(endpoint sts | sed 's|/$||')/token" -d grant_type=refresh_token -d client_id=proxy -d client_secret=proxy \
    -d "refresh_token=sbx-secret-google-refresh-$1" -d "scope=https://www.googleapis.com/auth/$2" |
    python3 -c 'import json, sys; print(json.load(sys.stdin)["access_token"])'
}

# with_proxy PERSON FLAGS...: starts the proxy; it is ready when its socket is there.
with_proxy() {
  local person=$1 end=$((SECONDS + 60))
  shift
  [ -z "$proxy" ] || { kill "$proxy"; wait "$proxy" 2>/dev/null || true; rm -rf "$dir/sockets"; }
  mkdir -p "$dir/sockets"
  "$PROXY" --sqladmin-api-endpoint "$(endpoint sql_admin)" --unix-socket "$dir/sockets" \
    --token "$(token "$person" sqlservice.admin)" "$@" "$instance" >"$dir/log" 2>&1 &
  proxy=$!
  until [ -S "$dir/sockets/$instance/.s.PGSQL.5432" ]; do
    kill -0 "$proxy" 2>/dev/null || fail "the proxy ended"
    [ $SECONDS -lt $end ] || fail "the proxy was not ready within 60 s"
    sleep 0.1
  done
}
ask() { psql -XAtq "host=$dir/sockets/$instance dbname=payments $1" -c "$2" 2>&1; }

with_proxy ada
expect "by password" app "$(PGPASSWORD=sbx-secret-app-password ask user=app 'select current_user')"
copied=$(PGPASSWORD=sbx-secret-app-password ask user=app "copy (select repeat('x', 1000) from generate_series(1, 20000)) to stdout" | wc -c)
expect "20 MB in bulk" 20020000 "$copied"

with_proxy ada --auto-iam-authn --login-token "$(token ada sqlservice.login)"
expect "signed in as herself" ada@acme.example "$(ask user=ada@acme.example 'select current_user')"

with_proxy bruno --auto-iam-authn --login-token "$(token bruno sqlservice.login)"
said=$(ask user=bruno@acme.example 'select 1') && fail "bruno got in: $said"
case "$said" in *"IAM user authentication failed"*) ;; *) fail "bruno was told: $said" ;; esac
echo "Google's proxy accepts the sandbox"
