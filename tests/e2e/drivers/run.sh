#!/usr/bin/env bash
# Tunnels in the background with the drivers that programs have: Java's, Go's, Node's and Python's, for all three engines,
# each with the connection string that bsql prints for it.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
"$here/install.sh"
drivers=$here/../../../target/e2e/drivers
export BSQL
. "$here/../machine.sh"
# From here on, whatever looks into a home looks into this one.
export HOME=$dir
like() { case "$1" in $2) ;; *) fail "expected $2, got '$1'" ;; esac; }
java() { command java -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -cp "$drivers/java:$drivers/java/*" "$@"; }
dsn() { "$BSQL" -q dsn "$@"; }
# MariaDB's driver leaves URLs of MySQL's to MySQL's driver.
for_mariadb() { sed 's/^jdbc:mysql:/jdbc:mariadb:/'; }
has_mysql() { command -v mariadbd >/dev/null || [ -x /usr/sbin/mariadbd ]; }
mysql=
if has_mysql; then mysql=storefront-staging; else echo "passed over: storefront-staging needs MariaDB"; fi

"$BSQL" sandbox up --detach --auto-approve
"$BSQL" login --no-browser --flow device

postgres() {
  "$drivers/go" "$(dsn payments-staging --format go)" postgres
  "$drivers/python/bin/python" "$here/python/main.py" asyncpg "$(dsn payments-staging)"
  node "$drivers/node/main.mjs" "$(dsn payments-staging)"
}
mysql() {
  "$drivers/go" "$(dsn "$mysql" --format go)" mysql
  "$drivers/python/bin/python" "$here/python/main.py" sqlalchemy "$(dsn "$mysql" --format sqlalchemy)"
  "$drivers/python/bin/python" "$here/python/main.py" mysql-connector "$(dsn "$mysql" --format kv)"
}

databases=(payments-staging ${mysql:+"$mysql"})
"$BSQL" tunnel -d --wait "${databases[@]}"
urls=("$(dsn payments-staging --format jdbc)")
if [ -n "$mysql" ]; then
  storefront=$(dsn "$mysql" --format jdbc)
  urls+=("$storefront" "$storefront&useCompression=true&useServerPrepStmts=true" "$(for_mariadb <<<"$storefront")")
fi
java Application "${urls[@]}"
postgres
if [ -n "$mysql" ]; then
  mysql
  node "$drivers/node/main.mjs" "$(dsn "$mysql")"
fi
"$BSQL" stop --all

"$BSQL" tunnel -d --wait --socket "${databases[@]}"
postgres
if [ -n "$mysql" ]; then
  mysql
  # Its own word for it.
  node "$drivers/node/main.mjs" "$(dsn "$mysql" | sed 's/?socket=/?socketPath=/')"
fi
"$BSQL" stop --all

# A tunnel by another way is no other tunnel to them.
"$BSQL" tunnel -d --wait --via data-api payments-staging
java Application "$(dsn payments-staging --format jdbc)"
"$BSQL" stop --all

# A guard rail, in the words of the driver.
"$BSQL" tunnel -d --wait --read-only "${databases[@]}"
like "$(java Refusal "$(dsn payments-staging --format jdbc)" 'delete from refunds')" \
  '25006 0 ERROR: cannot execute DELETE in a read-only transaction'
if [ -n "$mysql" ]; then
  for url in "$storefront" "$(for_mariadb <<<"$storefront")"; do
    like "$(java Refusal "$url" 'delete from cart_lines')" '25006 1792 *READ ONLY transaction'
  done
fi
"$BSQL" stop --all

# Programs that insist on TLS, and that see whose certificate it is.
"$BSQL" tunnel -d --wait --local-tls "${databases[@]}"
payments=$(dsn payments-staging --format jdbc)
like "$payments" '*sslmode=verify-full&sslrootcert=*'
java Application "$payments"
postgres
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=stranger -keyout /dev/null -out "$dir/stranger.pem" 2>/dev/null
like "$(java Refusal "${payments%sslrootcert=*}sslrootcert=$dir/stranger.pem" 'select 1')" '08006 0 SSL error: PKIX path building failed*'
if [ -n "$mysql" ]; then
  storefront=$(dsn "$mysql" --format jdbc)
  like "$storefront" '*&sslMode=REQUIRED'
  # MariaDB's driver takes a file.
  verified=$(for_mariadb <<<"${storefront%REQUIRED}verify-full&serverSslCert=")
  java Application "$storefront" "$verified$dir/state/local-tls/authority.pem"
  like "$(java Refusal "$verified$dir/stranger.pem" 'select 1')" '08000 -1 *PKIX path building failed*'
  mysql
fi
"$BSQL" stop --all

# Nobody is behind the sandbox's SQL Server, who answers all the same: that comes back through the tunnel.
"$BSQL" tunnel -d --wait warehouse-staging -u app
nobody='the sandbox has no SQL Server behind this instance'
password=sbx-secret-app-password
warehouse=$(dsn warehouse-staging --format jdbc)
like "$(java Refusal "$warehouse" 'select 1' $password)" "* 50000 $nobody"
like "$(java Refusal "$warehouse" 'select 1' wrong)" "* 18456 Login failed for user 'app'.*"
like "$("$drivers/go" "$(dsn warehouse-staging | sed "s/app@/app:$password@/")" sqlserver)" "50000 $nobody"
like "$("$drivers/python/bin/python" "$here/python/main.py" tds "$(dsn warehouse-staging)" $password)" "$nobody"
"$BSQL" stop --all
[ -z "$(find "$dir/run" -type s)" ] || fail "a socket was left: $(find "$dir/run")"
