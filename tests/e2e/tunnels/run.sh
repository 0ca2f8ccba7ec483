#!/usr/bin/env bash
# Tunnels in the background with the clients that people have: psql, psycopg, pg8000 and SQLAlchemy, through a port and
# through a socket; and another user of the machine, who is turned away, which the audit log shows.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
venv=$here/../../../target/e2e/tunnels
[ -x "$venv/bin/python" ] || python3 -m venv "$venv"
"$venv/bin/python" -c 'import psycopg, pg8000, sqlalchemy' 2>/dev/null ||
  "$venv/bin/pip" install --quiet --disable-pip-version-check 'psycopg[binary]' pg8000 sqlalchemy
. "$here/../machine.sh"
same() { [ "$1" = "$2" ] || fail "expected '$2', got '$1'"; }

"$BSQL" sandbox up --detach --auto-approve
"$BSQL" login --no-browser --flow device

# No pipe is held: $(…) waits for its end.
ready=$("$BSQL" tunnel -d payments-staging ledger-staging --idle-timeout 10m)
same "$(wc -l <<<"$ready")" 2
port=$("$BSQL" ps -o json | python3 -c 'import json, sys; print(next(t["port"] for t in json.load(sys.stdin)["tunnels"] if t["name"] == "payments-staging"))')
grep -qx "payments-staging 127.0.0.1:$port" <<<"$ready"

same "$(psql -XAtc 'select current_user' "$("$BSQL" dsn payments-staging)")" ada@acme.example
same "$(eval "$("$BSQL" env ledger-staging --shell bash)"; psql -XAtc 'select current_database()')" ledger
"$venv/bin/python" "$here/clients.py" "$("$BSQL" dsn payments-staging)" "$("$BSQL" dsn payments-staging --format sqlalchemy)" "$port"
# What has many questions.
pg_dump --schema-only "$("$BSQL" dsn payments-staging)" >"$dir/dump.sql"
grep -q 'CREATE TABLE' "$dir/dump.sql"

if [ "$(id -u)" = 0 ]; then
  knock() { (cd / && setpriv --reuid nobody --regid nogroup --clear-groups psql -XAtc 'select 1' "host=127.0.0.1 port=$port user=ada@acme.example dbname=payments sslmode=disable" 2>&1); }
  said=$(knock) && fail "another user got in: $said"
  grep -q 'server closed the connection' <<<"$said" || fail "another user was told: $said"
  for _ in $(seq 50); do "$BSQL" audit list | tee "$dir/audit" | grep -q denied && break; sleep 0.1; done
  grep -q 'denied' "$dir/audit" || fail "the audit log has no refusal"
  "$BSQL" audit list -o json | grep -q 'turned away user'
  "$BSQL" logs payments-staging | grep -q 'refused a connection of another user'
else
  echo "passed over: needs root, to dial in as somebody else"
fi
# A container has a loopback interface of its own.
if [ "$(id -u)" = 0 ] && unshare -n true 2>/dev/null; then
  unshare -n psql -XAtc 'select 1' "host=127.0.0.1 port=$port dbname=payments" 2>/dev/null && fail "reached from another network namespace"
fi

"$BSQL" stop payments-staging
same "$("$BSQL" ps -o name)" ledger-staging
"$BSQL" tunnel -d payments-staging --socket
"$venv/bin/python" "$here/clients.py" "$("$BSQL" dsn payments-staging)" "$("$BSQL" dsn payments-staging --format sqlalchemy)" "$dir/run/payments-staging/.s.PGSQL.5432"
"$BSQL" exec payments-staging ledger-staging -- sh -c 'pg_dump --schema-only "$LEDGER_STAGING_DATABASE_URL" | grep -q "CREATE TABLE" && psql -XAtc "select 1"'
"$BSQL" stop --all
"$venv/bin/python" "$here/at_terminal.py" "$BSQL"
documented() { HOME=$dir SHELL=/bin/bash PATH="$(dirname "$BSQL"):$PATH" "$venv/bin/python" "$here/documented.py" "$@"; }
if command -v jq && command -v fish && command -v zsh; then
  documented "$here/../../../README.md" "In scripts and other programs"
  documented "$here/../../../docs/scripting.md"
else
  echo "passed over: the documented commands need jq, fish and zsh"
fi
"$BSQL" stop --all
[ -z "$(find "$dir/run" -type s)" ] || fail "a socket was left: $(find "$dir/run")"
"$BSQL" audit verify
