"""Reaches a tunnel with psycopg, pg8000 and SQLAlchemy: clients.py URI SQLALCHEMY-URL PORT-OR-SOCKET."""

import sys
import threading

import pg8000.dbapi
import psycopg
import sqlalchemy

uri, url, place = sys.argv[1:]
QUESTION = "select current_user"
ADA = "ada@acme.example"

with psycopg.connect(uri) as connection:
    assert connection.execute(QUESTION).fetchone() == (ADA,)
    # A cancel request is a connection of its own, which must reach the same instance.
    timer = threading.Timer(1, connection.cancel)
    timer.start()
    try:
        connection.execute("select pg_sleep(60)")
        raise AssertionError("it was not cancelled")
    except psycopg.errors.QueryCanceled:
        connection.rollback()
    assert connection.execute("select count(*) from payments").fetchone()[0] > 0

where = {"unix_sock": place} if place.startswith("/") else {"host": "127.0.0.1", "port": int(place)}
# It says who it likes to be; the tunnel knows better.
connection = pg8000.dbapi.connect(user="postgres", database="payments", **where)
cursor = connection.cursor()
cursor.execute(QUESTION)
assert cursor.fetchone()[0] == ADA
connection.close()

engine = sqlalchemy.create_engine(url, pool_size=5)
connections = [engine.connect() for _ in range(5)]
assert {connection.scalar(sqlalchemy.text(QUESTION)) for connection in connections} == {ADA}
for connection in connections:
    connection.close()
engine.dispose()
print("ok")
