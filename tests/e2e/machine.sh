# A machine of one's own in $dir, to be sourced: bsql's files are there, and what it runs ends with the script.
# shellcheck shell=bash
dir=$(mktemp -d)
export BSQL_CONFIG=$dir/config.toml BSQL_STATE_DIR=$dir/state BSQL_CACHE_DIR=$dir/cache BSQL_RUNTIME_DIR=$dir/run
# What else is to end, for scripts to say.
leave() { :; }
cleanup() {
  leave
  "$BSQL" stop --all 2>/dev/null || true
  "$BSQL" sandbox down 2>/dev/null || true
  rm -rf "$dir"
}
trap cleanup EXIT
fail() { echo "$*" >&2; exit 1; }
