# A PostgreSQL of the test's own on 127.0.0.1:$PG_PORT, with its data in $dir/pg. For bash, to be sourced.

pg_bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)
pg_bin=${pg_bin:-$(dirname "$(command -v initdb)")}
# PostgreSQL refuses to run as root.
pg_as() { if [ "$(id -u)" = 0 ]; then runuser -u postgres -- "$@"; else "$@"; fi; }
pg_start() {
  mkdir "$dir/pg"
  chmod 755 "$dir"
  [ "$(id -u)" != 0 ] || chown postgres "$dir/pg"
  pg_as "$pg_bin/initdb" -D "$dir/pg" -U backstage -A trust -E UTF8 --locale=C.UTF-8 --no-sync >/dev/null
  # Nothing here outlives the test.
  pg_as "$pg_bin/pg_ctl" -D "$dir/pg" -w -s -l "$dir/pg/log" \
    -o "-h 127.0.0.1 -p $PG_PORT -k $dir/pg -c fsync=off -c synchronous_commit=off -c full_page_writes=off -c max_connections=50" start
  pg postgres -c 'create database backstage'
}
pg_stop() { pg_as "$pg_bin/pg_ctl" -D "$dir/pg" -m immediate -s stop; }
# pg DATABASE ARGUMENTS...
pg() { psql -qAtX -v ON_ERROR_STOP=1 -h 127.0.0.1 -p "$PG_PORT" -U backstage -d "$@"; }
# The catalog's tables are in a schema of their own.
catalog_sql() { PGOPTIONS='-c search_path=catalog' pg backstage "$@"; }
