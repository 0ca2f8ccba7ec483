#!/usr/bin/env bash
# bsql and Google's cloud-sql-proxy side by side, to the same sandbox instance with a real PostgreSQL behind it. Prints ratios
# of medians from alternating rounds, and the time to the first row at 50 ms of round trip. Takes some minutes; nothing else
# should run meanwhile.
#
#     cargo build --release && benches/data-plane/run.sh [ROUNDS]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
export BSQL=${BSQL:-$root/target/release/bsql}
export PROXY=$root/target/e2e/go/bin/cloud-sql-proxy
export PYTHONDONTWRITEBYTECODE=1
rounds=${1:-7}
"$root/tests/e2e/cloud-sql-proxy/install.sh"
for dir in $(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V); do PATH=$dir:$PATH; done
command -v pgbench >/dev/null || { echo "needs pgbench, which comes with PostgreSQL's server" >&2; exit 1; }
"$BSQL" sandbox run -- python3 "$here/compare.py" "$rounds"
"$BSQL" sandbox run -- python3 "$here/latency.py" "$rounds"
