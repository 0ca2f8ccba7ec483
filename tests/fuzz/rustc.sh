#!/usr/bin/env bash
# Cargo's RUSTC_WRAPPER: tells the fuzzer's engine which ways bsql and the targets take. Their dependencies are built as
# always, which takes a fraction of the time, and the ways through those are not what is looked for.
set -eu
crate=
for argument; do
  [ "${previous:-}" != --crate-name ] || crate=$argument
  previous=$argument
done
if [ "$crate" = bsql ] || [ -n "${CARGO_PRIMARY_PACKAGE:-}" ]; then
  # As cargo fuzz does it, but for the address sanitizer: there is nothing unsafe to look for.
  set -- "$@" -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares
fi
exec "$@"
