#!/usr/bin/env bash
# Bare `bsql` at a terminal: a picker in tmux, from 80x24 to 40x10, and the terminal as it was afterwards.
set -euo pipefail
. "$(dirname "$0")/../person.sh"

"$BSQL" sandbox up --detach --auto-approve
"$BSQL" login --no-browser --flow device

hides() {
  for _ in $(seq 200); do screen | grep -Eq -- "$1" || return 0; sleep 0.1; done
  screen >&2; fail "the screen still showed: $1"
}
keys() { tmux send-keys -t bsql "$@"; }

tmux new-session -d -s bsql -x 80 -y 24 "sh"
enter "PS1='shell> '; bsql=$BSQL; clear"
shows '^shell>'
before=$(tmux display -p -t bsql '#{alternate_on}')

enter '$bsql; echo left=$?'
shows '▌ ledger-production +production'
shows 'instance +acme-production:europe-west4:ledger'
shows 'Enter connect · Esc leave · \^R refresh'
screen | head -1 | grep -q '4/4$' || { screen >&2; fail "the first line is not whole"; }
tmux capture-pane -p -e -t bsql | grep -q $'\e\[[0-9;]*31mproduction' || fail "production is not red"

# Typing narrows, Ctrl-U widens, arrows and Ctrl-N, Ctrl-P, End and Home move.
type_ paystag
shows '^> paystag +1/4$'
shows '▌ payments-staging'
keys C-u
shows '4/4$'
keys Down;  shows '▌ ledger-staging'
keys C-n;   shows '▌ payments-production'
keys Up;    shows '▌ ledger-staging'
keys C-p;   shows '▌ ledger-production'
keys End;   shows '▌ payments-staging'
keys Home;  shows '▌ ledger-production'
keys PageDown; shows '▌ payments-staging'
type_ zzz;  shows 'nothing here is like `zzz`'
keys Enter; shows 'nothing here is like `zzz`'
keys C-w;   shows '4/4$'
keys C-r;   shows 'of ada and payments · asked just now'

# A smaller terminal has no details, and no line that is too long.
tmux resize-window -t bsql -x 40 -y 10
hides 'instance'
shows '▌ ledger-production +production'
[ "$(screen | wc -L)" -le 40 ] || fail "a line is wider than the terminal"
tmux resize-window -t bsql -x 80 -y 24
shows 'instance +acme-production:europe-west4:ledger'

# Escape leaves with 0, Ctrl-C with 130, and SIGTERM with 143; echo is on again each time.
keys Escape
shows 'left=0'
enter 'clear; $bsql; echo left=$?'
shows '▌ ledger-production'
keys C-c
shows 'left=130'
enter 'clear; $bsql; echo left=$?'
shows '▌ ledger-production'
kill -TERM "$(pgrep -P "$(tmux display -p -t bsql '#{pane_pid}')")"
shows 'left=143'
[ "$(tmux display -p -t bsql '#{alternate_on}')" = "$before" ] || fail "the screen was not given back"
enter 'clear; stty -a | tr " ;" "\n\n" | grep -x -e echo -e icanon -e isig'
shows '^echo$'; shows '^icanon$'; shows '^isig$'

# stdout stays data: the picker is on stderr.
enter 'clear; $bsql >stdout 2>/dev/tty; wc -c stdout; rm stdout' 2>/dev/null
shows '▌ ledger-production'
keys Escape
shows '^0 stdout'

# Enter connects, and what was used comes first next time.
enter 'clear; $bsql'
shows '▌ ledger-production'
type_ 'payments staging'
shows '▌ payments-staging'
keys Enter
shows 'payments-staging=>'
enter '\q'
shows '^shell>$'
enter 'clear; $bsql; echo left=$?'
shows '▌ payments-staging'
shows 'used +once, last'
keys Escape
shows 'left=0'

# Several databases of a name are a choice, too.
enter 'clear; $bsql show inventory | head -1; echo left=$?'
shows '`inventory` could be any of these'
type_ warehouse
shows '▌ warehouse/inventory'
keys Enter
shows 'entity +resource:warehouse/inventory'
"$BSQL" sandbox down
