#!/usr/bin/env bash
# The real pgcli, usql, mariadb and mycli at a terminal: somebody asks, cancels a query, goes on, and leaves.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
venv=$here/../../../target/e2e/clients
if ! cmp -s "$here/requirements.txt" "$venv/installed.txt"; then
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$here/requirements.txt"
  cp "$here/requirements.txt" "$venv/installed.txt"
fi
venv=$(cd "$venv" && pwd)
. "$here/../person.sh"
export HOME=$dir TERM=xterm-256color
# These clients take their time to start.
patience=300
# As they complete what is typed, the key that ends it must not come with it.
enter() { type_ "$1"; sleep 0.3; tmux send-keys -t bsql Enter; }

"$BSQL" sandbox up --detach --auto-approve
"$BSQL" login --no-browser --flow device
tmux new-session -d -s bsql -x 120 -y 40 "sh"
enter "PS1='shell> '"

# opens NAME CLIENT PROMPT
opens() {
  enter clear
  shows '^shell> *$'
  enter "$BSQL connect $1 --client $2; echo status=\$?"
  shows "$3"
}
# cancels NAME STATEMENT SAID: Ctrl-C as soon as the database is at it. A client that is at nothing may take that for its end.
cancels() {
  local at_it="from pg_stat_activity where state = 'active' and query"
  [ "$1" != storefront-staging ] || at_it="from information_schema.processlist where info"
  enter "$2;"
  for _ in $(seq 100); do
    [ "$("$BSQL" -q query "$1" -o csv "select count(*) $at_it like '$2%'" | tail -1)" = 0 ] || break
  done
  tmux send-keys -t bsql C-c
  shows "$3"
}
# A client's end is bsql's, and nothing of either is left.
leaves() {
  enter '\q'
  shows 'status=0'
  left=$(pgrep -P "$(tmux display-message -p -t bsql '#{pane_pid}')" -a) && fail "a process was left: $left"
  [ -z "$(find "$dir/run" -type s)" ] || fail "a socket was left: $(find "$dir/run")"
}
# session NAME CLIENT PROMPT USER SLEEP CANCELLED
session() {
  opens "$1" "$2" "$3"
  enter 'select current_user;'
  shows "$4"
  cancels "$1" "$5" "$6"
  enter 'select 40 + 2 as answer;'
  shows '(^|[^0-9])42([^0-9]|$)'
  leaves
  echo "ok: $(basename "$2") with $1"
}
# ends STATUS NAME CLIENT ARGS...: with the client's own status, of a statement that fails.
ends() {
  local status=0
  "$BSQL" connect "$2" --client "$3" -- "${@:4}" 'select nonsense' >"$dir/said" 2>&1 || status=$?
  [ $status = "$1" ] || fail "$3 ended with $status instead of $1: $(cat "$dir/said")"
}

session payments-staging "$venv/bin/pgcli" 'payments>' ada@acme.example 'select pg_sleep(60)' 'cancel'
session payments-staging "$venv/bin/usql" 'payments=>' ada@acme.example 'select pg_sleep(60)' 'canceling statement'
ends 1 payments-staging "$venv/bin/usql" -c
if command -v mariadb >/dev/null && { command -v mariadbd >/dev/null || [ -x /usr/sbin/mariadbd ]; }; then
  session storefront-staging mariadb '^storefront-staging>' ada@% 'select sleep(60)' 'execution was interrupted'
  ends 1 storefront-staging mariadb -e
  session storefront-staging "$venv/bin/mycli" '^storefront-staging>' ada@% 'select sleep(60)' 'cancel'
  ends 1 storefront-staging "$venv/bin/mycli" -e
  session storefront-staging "$venv/bin/usql" 'storefront=>' ada@% 'select sleep(60)' 'context canceled'
  ends 1 storefront-staging "$venv/bin/usql" -c
else
  echo "passed over: storefront-staging needs MariaDB, and its client"
fi

opens payments-production "$venv/bin/pgcli" '^payments-production:payments>'
tmux capture-pane -p -e -t bsql | grep payments-production | tail -1 | cat -v | tee "$dir/prompt"
grep -Eq '\[[0-9;]*31[;m]' "$dir/prompt" || fail "production is not red"
leaves
"$BSQL" audit list -o json | grep -q '"event": *"end"'
