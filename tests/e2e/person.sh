# A person at a terminal, to be sourced: a machine of their own (machine.sh), and tmux for a screen, in the session `bsql`.
# shellcheck shell=bash
. "$(dirname "${BASH_SOURCE[0]}")/machine.sh"
export TMUX_TMPDIR=$dir
leave() { tmux kill-server 2>/dev/null || true; }

screen() { tmux capture-pane -p -t bsql "$@"; }
# Waits until the screen shows a line that matches; 20 s are for machines that are busy, $patience is in tenths of a second.
shows() {
  for _ in $(seq "${patience:-200}"); do screen | grep -Eq -- "$1" && return; sleep 0.1; done
  screen >&2; fail "the screen never showed: $1"
}
# A semicolon at the end would end tmux's own command.
type_() { tmux send-keys -t bsql -l "$(sed 's/;$/\\;/' <<<"$1")"; }
enter() { type_ "$1"; tmux send-keys -t bsql Enter; }
