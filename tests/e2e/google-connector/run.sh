#!/usr/bin/env bash
# Google's own Python connector must accept the sandbox: then what bsql accepts is no private agreement.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
"$here/install.sh"
python=$here/../../../target/e2e/google-connector/bin/python
"$BSQL" sandbox run -- "$python" "$here/connector.py"
"$BSQL" sandbox run -- "$python" "$here/sql_data.py"
if command -v mariadbd >/dev/null || [ -x /usr/sbin/mariadbd ]; then
  "$BSQL" sandbox run -- "$python" "$here/mysql.py"
else
  echo "passed over: storefront needs MariaDB"
fi
