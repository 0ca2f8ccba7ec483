#!/usr/bin/env bash
# Feeds anything to what bsql reads from others, each target for some seconds, as many at a time as there are processors:
#
#   tests/fuzz/run.sh [SECONDS [TARGET…]]
#
# What a run has learnt stays in target/fuzz/corpus for the next one. `cargo fuzz` is not needed.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
seconds=${1:-10}
shift $(($# > 0))

export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$root/target}/fuzz
export RUSTC_WRAPPER=$here/rustc.sh
# The versions that bsql itself has been tested with; what the fuzzer needs beyond them is added.
cp "$root/Cargo.lock" "$here/Cargo.lock"
cargo build --quiet --manifest-path "$here/Cargo.toml"

targets=("$@")
if [ ${#targets[@]} = 0 ]; then
  for file in "$here"/fuzz_targets/*.rs; do targets+=("$(basename "$file" .rs)"); done
fi

corpus=$CARGO_TARGET_DIR/corpus
seed() { # TARGET NAME BYTES-AS-PRINTF-HAS-THEM
  mkdir -p "$corpus/$1"
  printf '%b' "$3" >"$corpus/$1/seed-$2"
}
. "$here/seeds.sh"

fuzz() { # TARGET
  local log=$CARGO_TARGET_DIR/$1.log artifacts=$CARGO_TARGET_DIR/artifacts/$1/
  mkdir -p "$corpus/$1" "$artifacts"
  if "$CARGO_TARGET_DIR/debug/$1" "$corpus/$1" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=512 \
    -max_len=4096 -artifact_prefix="$artifacts" >"$log" 2>&1; then
    printf '%-20s %s\n' "$1" "$(tail -n 1 "$log"), $(ls "$corpus/$1" | wc -l) inputs kept"
  else
    printf '%s FAILED: %s\n' "$1" "$log"
    grep -a -A 5 -e panicked -e '^==.*ERROR' "$log" | head -n 30
    grep -a 'Test unit written' "$log"
    return 1
  fi
}
export -f fuzz
export corpus seconds
printf '%s\n' "${targets[@]}" | xargs -P "$(nproc)" -I{} bash -c 'fuzz {}'
