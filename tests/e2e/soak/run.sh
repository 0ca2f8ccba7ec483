#!/usr/bin/env bash
# A tunnel under load while everything goes wrong that the sandbox can make go wrong, the machine's sleep included: no byte
# may be wrong, what fails must say why, and nothing may grow. Before that 2,000 connections at once, and descriptors that run out.
# MINUTES=30 tests/e2e/soak/run.sh is for by hand, and so is ONLY=soak or ONLY=crowd.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$here/../../..
BSQL=${BSQL:-$root/target/debug/bsql}
venv=$root/target/e2e/soak
[ -x "$venv/bin/python" ] || python3 -m venv "$venv"
"$venv/bin/python" -c 'import psycopg' 2>/dev/null ||
  "$venv/bin/pip" install --quiet --disable-pip-version-check 'psycopg[binary]'
. "$here/../machine.sh"
# The sandbox has the other end of every connection.
ulimit -Sn "$(ulimit -Hn)"
"$BSQL" sandbox up --detach --auto-approve
"$BSQL" login --no-browser --flow device
for what in crowd soak; do
  [ "${ONLY:-$what}" = "$what" ] || continue
  "$venv/bin/python" "$here/$what.py" "$BSQL" "$dir" "${MINUTES:-1}"
done
