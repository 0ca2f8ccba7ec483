#!/usr/bin/env bash
# A person at a terminal: the sandbox in the background, a sign-in, the list, and psql's prompt in tmux.
set -euo pipefail
. "$(dirname "$0")/../person.sh"

"$BSQL" sandbox up --detach --auto-approve
"$BSQL" sandbox status
"$BSQL" login --no-browser --flow device
"$BSQL" ls | tee "$dir/ls"
grep -q '^payments-staging ' "$dir/ls"

tmux new-session -d -s bsql -x 120 -y 40 "sh"
enter "PS1='shell> '"
enter "$BSQL connect payments-staging; echo status=\$?"
shows 'payments-staging=>'
enter 'select current_user, count(*) > 0 as rows from payments;'
shows 'ada@acme.example \| t'
enter 'select pg_sleep(60);'
# Ctrl-C is psql's: it cancels the query and the prompt comes back. Until the query runs there is nothing to cancel.
for _ in $(seq 100); do
  tmux send-keys -t bsql C-c
  screen | grep -q 'canceling statement' && break
  sleep 0.1
done
shows 'canceling statement due to user request'
enter '\q'
shows 'status=0'
[ -z "$(find "$dir/run" -type s)" ] || fail "a socket was left: $(find "$dir/run")"
"$BSQL" audit list
"$BSQL" audit verify
"$BSQL" sandbox down
[ -z "$(cat "$BSQL_CONFIG")" ] || fail "the profile was left: $(cat "$BSQL_CONFIG")"
