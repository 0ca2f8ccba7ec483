#!/usr/bin/env bash
# bsql and Google's cloud-sql-proxy side by side, to the same instances of a sandbox with a real PostgreSQL behind them.
# Prints a table in Markdown: medians from alternating rounds, and their ratios. Seven rounds take some ten minutes, in which
# nothing else should run. The single figures go to standard error.
#
#     cargo build --release && benches/data-plane/run.sh [ROUNDS [postgres] [growth] [tunnels] [first_row]]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
export BSQL=${BSQL:-$root/target/release/bsql}
export PROXY=$root/target/e2e/go/bin/cloud-sql-proxy
export PYTHONDONTWRITEBYTECODE=1
"$root/tests/e2e/cloud-sql-proxy/install.sh"
for dir in $(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V); do PATH=$dir:$PATH; done
command -v pgbench >/dev/null || { echo "needs pgbench, which comes with PostgreSQL's server" >&2; exit 1; }
"$BSQL" sandbox run --databases 150 -- python3 "$here/main.py" "${1:-7}" "${@:2}"
