#!/usr/bin/env bash
# Installs Google's connector and the drivers that it hands connections to, once.
set -euo pipefail
venv=$(cd "$(dirname "$0")/../../.." && pwd)/target/e2e/google-connector
[ -x "$venv/bin/python" ] || python3 -m venv "$venv"
"$venv/bin/python" -c 'import google.cloud.sql.connector, pg8000, pymysql, pytds' 2>/dev/null ||
  "$venv/bin/pip" install --quiet --disable-pip-version-check 'cloud-sql-python-connector[pg8000,pymysql,pytds]'
