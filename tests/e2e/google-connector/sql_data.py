"""Reaches the sandbox's payments-staging through its SQL Data service with Google's connector, as bsql does."""

import hashlib
import os
import tempfile
import urllib.request

from world import PASSWORD, connector, endpoints, refused, rows

ca = tempfile.NamedTemporaryFile(suffix=".pem")
ca.write(urllib.request.urlopen(endpoints["sql_admin"] + "sandbox/ca.pem").read())
ca.flush()
# Read when gRPC first opens a channel.
os.environ["GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"] = ca.name

STAGING = "acme-staging:europe-west1:payments"
ORDERS = "acme-staging:europe-west1:orders"
SQL_DATA = {"sql_data_endpoint": "localhost:" + endpoints["sql_data"].rstrip("/").rsplit(":", 1)[1]}


def ask(person, instance, database, sql, **login):
    with connector(person, **SQL_DATA) as opened:
        return rows(opened, instance, "pg8000", sql, ip_type="SQL_DATA", db=database, **login)


def refusal(*arguments, **login):
    error = refused(ask, *arguments, **login)
    return f"{error} {error.__cause__}"


ada = {"user": "ada@acme.example"}
app = {"user": "app", "password": PASSWORD}
who = "select current_user"
assert ask("ada", STAGING, "payments", who, **ada)[0][0] == "ada@acme.example"
assert ask("ada", STAGING, "payments", who, **app)[0][0] == "app"
assert "password authentication failed" in refusal("ada", STAGING, "payments", who, user="app", password="wrong")
assert "IAM user authentication failed" in refusal("bruno", STAGING, "payments", who, user="bruno@acme.example")
assert "not authorized" in refusal("dmitri", STAGING, "payments", who, user="dmitri@acme.example")
# Another edition: the connector goes to the instance itself instead, and is let in there.
assert ask("bruno", ORDERS, "orders", who, user="app", password=PASSWORD)[0][0] == "app"

# Some 8 MB there and back.
text = "".join(hashlib.sha256(str(row).encode()).hexdigest() for row in range(125_000))
with connector("ada", **SQL_DATA) as opened:
    connection = opened.connect(STAGING, "pg8000", ip_type="SQL_DATA", db="payments", **ada)
    cursor = connection.cursor()
    cursor.execute("select cast(%s as text)", (text,))
    assert cursor.fetchone()[0] == text
    connection.close()
print("ok")
