#!/usr/bin/env bash
# Google's own Python connector must accept the sandbox: then what bsql accepts is no private agreement.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
venv=$here/../../../target/e2e/google-connector
[ -x "$venv/bin/python" ] || python3 -m venv "$venv"
"$venv/bin/python" -c 'import google.cloud.sql.connector, pg8000' 2>/dev/null ||
  "$venv/bin/pip" install --quiet --disable-pip-version-check 'cloud-sql-python-connector[pg8000]'
"$BSQL" sandbox run -- "$venv/bin/python" "$here/connector.py"
"$BSQL" sandbox run -- "$venv/bin/python" "$here/sql_data.py"
