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
storefront=acme-staging:europe-west1:storefront
port=$(python3 -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])')

# token PERSON SCOPE: an access token of the sandbox's Google.
token() {
  curl -fsS "$(endpoint sts | sed 's|/$||')/token" -d grant_type=refresh_token -d client_id=proxy -d client_secret=proxy \
    -d "refresh_token=sbx-secret-google-refresh-$1" -d "scope=https://www.googleapis.com/auth/$2" |
    python3 -c 'import json, sys; print(json.load(sys.stdin)["access_token"])'
}

# with_proxy PERSON FLAGS...: starts the proxy; it says when it is ready.
with_proxy() {
  local person=$1 end=$((SECONDS + 60))
  shift
  [ -z "$proxy" ] || { kill "$proxy"; wait "$proxy" 2>/dev/null || true; rm -rf "$dir/sockets" "$dir/log"; }
  mkdir -p "$dir/sockets"
  "$PROXY" --sqladmin-api-endpoint "$(endpoint sql_admin)" --unix-socket "$dir/sockets" \
    --token "$(token "$person" sqlservice.admin)" "$@" "$instance" >"$dir/log" 2>&1 &
  proxy=$!
  until grep -q "ready for new connections" "$dir/log" 2>/dev/null; do
    kill -0 "$proxy" 2>/dev/null || fail "the proxy ended"
    [ $SECONDS -lt $end ] || fail "the proxy was not ready within 60 s"
    sleep 0.1
  done
}
ask() { psql -XAtq "host=$dir/sockets/$instance dbname=payments $1" -c "$2" 2>&1; }
# ask_mysql socket|port USER [PASSWORD]: what MariaDB's client prints for the user's name.
ask_mysql() {
  local way=(--socket="$dir/sockets/$storefront")
  [ "$1" = socket ] || way=(--host=127.0.0.1 --port="$port")
  MYSQL_PWD=${3-} mariadb --no-defaults -NB "${way[@]}" --user="$2" -e 'select current_user()' storefront 2>&1
}
has_mysql() { command -v mariadb >/dev/null && { command -v mariadbd >/dev/null || [ -x /usr/sbin/mariadbd ]; }; }
has_mysql || echo "passed over: storefront needs MariaDB, and its client"

# On a socket and on a port. Bruno may not reach it.
shop=("$storefront" "$storefront?port=$port")

with_proxy ada "${shop[@]}"
expect "by password" app "$(PGPASSWORD=sbx-secret-app-password ask user=app 'select current_user')"
copied=$(PGPASSWORD=sbx-secret-app-password ask user=app "copy (select repeat('x', 1000) from generate_series(1, 20000)) to stdout" | wc -c)
expect "20 MB in bulk" 20020000 "$copied"
if has_mysql; then
  for way in socket:UDS port:TCP; do
    expect "MySQL on a ${way%:*}" app@% "$(ask_mysql "${way%:*}" app sbx-secret-app-password)"
    grep -q "client_protocol_type.*${way#*:}" "$SANDBOX_LOG" || fail "the instance was not told of ${way#*:}"
  done
  said=$(ask_mysql socket app wrong) && fail "a wrong password got in: $said"
  case "$said" in *"ERROR 1045 (28000)"*) ;; *) fail "a wrong password was told: $said" ;; esac
fi

with_proxy ada --auto-iam-authn --login-token "$(token ada sqlservice.login)" "${shop[@]}"
# Given tokens from outside, the proxy asks for another certificate for each connection to an instance, and waits 30 s for
# the second and 60 s, which is too long for itself, for the third: one connection each, at the same time.
mysql=
if has_mysql; then
  ask_mysql port ada >"$dir/mysql" &
  mysql=$!
fi
expect "signed in as herself" ada@acme.example "$(ask user=ada@acme.example 'select current_user')"
if [ -n "$mysql" ]; then
  wait "$mysql" || fail "ada was told: $(cat "$dir/mysql")"
  expect "signed in to MySQL as herself" ada@% "$(cat "$dir/mysql")"
fi

with_proxy bruno --auto-iam-authn --login-token "$(token bruno sqlservice.login)"
said=$(ask user=bruno@acme.example 'select 1') && fail "bruno got in: $said"
case "$said" in *"IAM user authentication failed"*) ;; *) fail "bruno was told: $said" ;; esac
echo "Google's proxy accepts the sandbox"
