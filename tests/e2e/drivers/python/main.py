"""Does through a tunnel what an application does with Python's drivers: main.py FORMAT DSN, as `bsql dsn` prints it."""

import asyncio
import sys
import urllib.parse

import asyncpg
import mysql.connector
import pytds
import sqlalchemy


async def with_asyncpg(uri):
    async with asyncpg.create_pool(uri, min_size=5, max_size=5) as pool:
        users = await asyncio.gather(*(pool.fetchval("select current_user") for _ in range(20)))
        assert set(users) == {"ada@acme.example"}, users
        async with pool.acquire() as connection:
            try:
                # At its end the driver sends a cancel request, and waits for what comes of it.
                await connection.execute("select pg_sleep(60)", timeout=1)
                raise AssertionError("it was not cancelled")
            except TimeoutError:
                pass
            assert await connection.fetchval("select count(*) from payments") > 0
            rows = [(number, f"Zeile {number} 🔑", bytes([number % 256]) * (number % 400)) for number in range(5000)]
            await connection.execute("create temporary table bulk (id integer, line text, bytes bytea)")
            await connection.copy_records_to_table("bulk", records=rows)
            assert [tuple(row) for row in await connection.fetch("select * from bulk order by id")] == rows


def with_sqlalchemy(url):
    engine = sqlalchemy.create_engine(url, pool_size=5)
    question = sqlalchemy.text("select current_user")
    connections = [engine.connect() for _ in range(5)]
    assert {connection.scalar(question) for connection in connections} == {"ada@%"}
    for connection in connections:
        connection.close()
    engine.dispose()


def with_oracles_connector(keywords):
    options = dict(word.split("=", 1) for word in keywords.replace("ssl-ca", "ssl_ca").split())
    if "ssl_ca" in options:
        options["ssl_verify_identity"] = True
    if "socket" in options:
        options["unix_socket"] = options.pop("socket")
    for pure in (True, False):
        with mysql.connector.connect(use_pure=pure, **options) as connection, connection.cursor(prepared=True) as cursor:
            cursor.execute("select current_user, ?", ("🔑",))
            assert cursor.fetchone() == ("ada@%", "🔑")


def with_tds(uri, password):
    place = urllib.parse.urlsplit(uri)
    database = urllib.parse.parse_qs(place.query)["database"][0]
    # Otherwise it begins a transaction at once, and tries again for a while when that is refused.
    login = {"user": place.username, "password": password, "autocommit": True}
    with pytds.connect(place.hostname, database, port=place.port, **login) as connection:
        try:
            connection.cursor().execute("select 1")
            raise AssertionError("somebody is there")
        except pytds.tds_base.DatabaseError as refusal:
            print(refusal.args[0])


match sys.argv[1:]:
    case ["asyncpg", uri]:
        asyncio.run(with_asyncpg(uri))
    case ["sqlalchemy", url]:
        with_sqlalchemy(url)
    case ["mysql-connector", keywords]:
        with_oracles_connector(keywords)
    case ["tds", uri, password]:
        with_tds(uri, password)
