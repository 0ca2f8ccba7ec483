#!/usr/bin/env bash
# The real pgcli at a terminal, in a virtual environment of its own; PGCLI names one that is there already.
set -euo pipefail
. "$(dirname "$0")/../person.sh"
export HOME=$dir TERM=xterm-256color
# pgcli takes its time to start.
patience=300

pgcli=${PGCLI:-$dir/venv/bin/pgcli}
if [ ! -x "$pgcli" ]; then
  python3 -m venv "$dir/venv"
  "$dir/venv/bin/pip" install --quiet pgcli
fi
"$BSQL" sandbox up --detach --auto-approve
"$BSQL" login --no-browser --flow device

enter() { type_ "$1"; sleep 0.3; tmux send-keys -t bsql Enter; }

tmux new-session -d -s bsql -x 120 -y 40 "sh"
enter "PS1='shell> '"
enter "$BSQL connect payments-staging --client $pgcli; echo status=\$?"
shows 'payments>'
enter 'select current_user, count(*) > 0 as rows from payments;'
shows 'ada@acme.example'
enter 'select pg_sleep(60);'
for _ in $(seq 60); do
  sleep 0.5; tmux send-keys -t bsql C-c
  screen | grep -Eq 'cancel' && break
done
shows 'cancel'
tmux send-keys -t bsql C-d
shows 'status=0'
[ -z "$(find "$dir/run" -type s)" ] || fail "a socket was left"
enter clear
enter "$BSQL connect payments-production --client $pgcli; echo status=\$?"
shows '^payments-production:payments>'
tmux capture-pane -p -e -t bsql | grep payments-production | tail -1 | cat -v | tee "$dir/prompt"
grep -Eq '\[[0-9;]*31[;m]' "$dir/prompt" || fail "production is not red"
tmux send-keys -t bsql C-d
shows 'status=0'
"$BSQL" audit list -o json | grep -q '"event": *"end"'
