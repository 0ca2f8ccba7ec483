# A person at a terminal, to be sourced: a machine of their own in $dir, and tmux for a screen, in the session `bsql`.
# shellcheck shell=bash
dir=$(mktemp -d)
export BSQL_CONFIG=$dir/config.toml BSQL_STATE_DIR=$dir/state BSQL_CACHE_DIR=$dir/cache BSQL_RUNTIME_DIR=$dir/run
export TMUX_TMPDIR=$dir
cleanup() {
  tmux kill-server 2>/dev/null || true
  "$BSQL" sandbox down 2>/dev/null || true
  rm -rf "$dir"
}
trap cleanup EXIT
fail() { echo "$*" >&2; exit 1; }

screen() { tmux capture-pane -p -t bsql "$@"; }
# Waits until the screen shows a line that matches; 20 s are for machines that are busy, $patience is in tenths of a second.
shows() {
  for _ in $(seq "${patience:-200}"); do screen | grep -Eq -- "$1" && return; sleep 0.1; done
  screen >&2; fail "the screen never showed: $1"
}
# A semicolon at the end would end tmux's own command.
type_() { tmux send-keys -t bsql -l "$(sed 's/;$/\\;/' <<<"$1")"; }
enter() { type_ "$1"; tmux send-keys -t bsql Enter; }
