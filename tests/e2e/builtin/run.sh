#!/usr/bin/env bash
# A person at bsql's own prompt, in tmux: editing, history, paging, cancelling, transactions, a resized window, and a disk
# that is full.
set -euo pipefail
. "$(dirname "$0")/../person.sh"
export TERM=xterm-256color
unset PAGER PSQL_PAGER LESS EDITOR VISUAL PSQL_EDITOR NO_COLOR

"$BSQL" sandbox up --detach --auto-approve
"$BSQL" login --no-browser --flow device

clear_() { tmux send-keys -t bsql C-l; sleep 0.2; }
# The shell knows no Ctrl-L.
clear_shell() { enter clear; sleep 0.3; }

tmux new-session -d -s bsql -x 100 -y 30 "sh"
enter "PS1='shell> '"
enter "$BSQL connect payments-staging --client builtin; echo status=\$?"
shows '^payments-staging=> ?$'
title=$(tmux display-message -p -t bsql '#{pane_title}')
[ "$title" = payments-staging ] || fail "the title is: $title"

# Several lines, and what is open is in the prompt.
enter 'select current_user,'
shows '^payments-staging->'
enter "  'a"
shows "^payments-staging'>"
enter "b' as t;"
shows 'ada@acme.example +a'
shows '\(1 row\)'

# An error, with its caret; and a transaction that it breaks.
enter 'begin;'
shows '^payments-staging=\*>'
enter 'select nonsense from payments;'
shows 'ERROR:  column "nonsense" does not exist \(SQLSTATE 42703\)'
shows '^LINE 1: select nonsense from payments;$'
shows '^               \^$'
shows '^payments-staging=!>'
enter 'rollback;'
shows '^payments-staging=> ?$'

# Tab completes commands and the names of tables.
clear_
type_ 'select count(*) as tabbed from paym'
tmux send-keys -t bsql Tab
shows 'from payments'
enter ';'
shows '^tabbed'

# The arrow brings the last statement back, whole.
clear_
tmux send-keys -t bsql Up
shows 'select count\(\*\) as tabbed from payments'
tmux send-keys -t bsql C-c
shows '^payments-staging=> ?$'

# Records, timing, and the catalog.
clear_
enter '\x'
enter "select 1 as one, 'long' as two;"
shows '^-\[ RECORD 1 \]-$'
shows '^one \| 1$'
enter '\x off'
enter '\timing on'
enter 'select 1;'
shows '^Time: [0-9.]+ ms'
enter '\timing off'
clear_
enter '\d payments'
shows '^Column'
shows '^Indexes:'
tmux send-keys -t bsql q
shows '^payments-staging=> ?$'

# Ctrl-C cancels the query, and the prompt is there again.
clear_
enter 'select pg_sleep(60);'
for _ in $(seq 100); do
  screen | grep -q 'cancelled' && break
  sleep 0.3; tmux send-keys -t bsql C-c
done
shows 'cancelled'
enter "select 'still ' || 'here' as x;"
shows 'still here'

# Long answers go through less, which is left before their end; the window is resized meanwhile.
clear_
enter 'select n, repeat(chr(120), 20) as x from generate_series(1, 5000) as n;'
shows '^1 +x{20}'
shows '^:'
tmux resize-window -t bsql -x 60 -y 20
sleep 0.5
tmux send-keys -t bsql q
shows '^payments-staging=> ?$'
clear_
enter "select repeat('wide ', 30) as w, 'end' as e;"
shows 'wide wide'
[ "$(screen | awk '{ if (length($0) > 60) print }' | wc -l)" = 0 ] || fail "wider than the window"
shows '^payments-staging=> ?$'

# The connection is lost and opened anew.
clear_
enter 'select pg_terminate_backend(pg_backend_pid());'
shows 'SQLSTATE 57P01'
shows 'new connection'
enter "select 'and ' || 'again' as x;"
shows 'and again'

# \e edits in $EDITOR, and Ctrl-D leaves.
clear_
enter '\q'
shows 'status=0'
clear_shell
enter "EDITOR='sed -i s/one/eleven/' $BSQL connect payments-staging --client builtin; echo status=\$?"
shows '^payments-staging=> ?$'
enter "select 'one'"
shows '^payments-staging->'
enter '\e'
enter 'as edited;'
shows '^eleven'
# What was typed in the other session is remembered.
clear_
tmux send-keys -t bsql Up Up Up Up Up Up
shows '^payments-staging=> .+'
tmux send-keys -t bsql C-c
tmux send-keys -t bsql C-d
shows 'status=0'
[ "$(tmux display-message -p -t bsql '#{pane_title}')" != payments-staging ] || fail "the title stayed"
mode=$(stat -c %a "$BSQL_STATE_DIR"/history/*.jsonl)
[ "$mode" = 600 ] || fail "the history's mode is $mode"

# A history that cannot be written is a warning.
rm -rf "$BSQL_STATE_DIR/history"; touch "$BSQL_STATE_DIR/history"
clear_shell
enter "$BSQL connect payments-staging --client builtin; echo status=\$?"
shows 'payments-staging=> ?$'
enter "select 'works ' || 'all the same' as x;"
shows 'not remembered'
shows 'works all the same'

# SIGTERM ends it, and the terminal is as before.
kill -TERM "$(pgrep -P "$(tmux display-message -p -t bsql '#{pane_pid}')")"
shows 'status=143'
enter 'stty -a | grep -o " echo "'
shows '^ echo'

# Production is red, in words and in the title.
rm "$BSQL_STATE_DIR/history"
clear_shell
enter "$BSQL connect payments-production --client builtin; echo status=\$?"
shows '^payments-production=> ?$'
screen -e | grep 'production' | grep -q '31m' || fail "production is not red"
title=$(tmux display-message -p -t bsql '#{pane_title}')
[ "$title" = "PRODUCTION payments-production" ] || fail "the title is: $title"
tmux send-keys -t bsql C-d
shows 'status=0'
"$BSQL" audit verify
