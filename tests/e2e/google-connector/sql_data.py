"""Reaches the sandbox's payments-staging through its SQL Data service with Google's connector, as bsql does."""

import hashlib
import os
import tempfile
import tomllib
import urllib.request

with open(os.environ["BSQL_CONFIG"], "rb") as file:
    endpoints = tomllib.load(file)["profiles"]["sandbox"]["google"]["endpoints"]

ca = tempfile.NamedTemporaryFile(suffix=".pem")
ca.write(urllib.request.urlopen(endpoints["sql_admin"] + "sandbox/ca.pem").read())
ca.flush()
# Read when gRPC first opens a channel.
os.environ["GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"] = ca.name

from google.cloud.sql.connector import Connector  # noqa: E402
from google.oauth2.credentials import Credentials  # noqa: E402

STAGING = "acme-staging:europe-west1:payments"
ORDERS = "acme-staging:europe-west1:orders"


def connector(person):
    credentials = Credentials(
        token=None,
        refresh_token=f"sbx-secret-google-refresh-{person}",
        token_uri=endpoints["sts"].rstrip("/") + "/token",
        client_id="connector",
        client_secret="connector",
        scopes=["https://www.googleapis.com/auth/sqlservice.admin"],
    )
    return Connector(
        credentials=credentials,
        sqladmin_api_endpoint=endpoints["sql_admin"].rstrip("/"),
        sql_data_endpoint="localhost:" + endpoints["sql_data"].rstrip("/").rsplit(":", 1)[1],
    )


def ask(person, instance, database, sql, **login):
    with connector(person) as opened:
        connection = opened.connect(instance, "pg8000", ip_type="SQL_DATA", db=database, **login)
        try:
            cursor = connection.cursor()
            cursor.execute(sql)
            return cursor.fetchall()
        finally:
            connection.close()


def refused(*arguments, **login):
    try:
        ask(*arguments, **login)
    except Exception as error:  # The driver's own class for what the server refuses differs by version.
        return f"{error} {error.__cause__}"
    raise AssertionError(f"{arguments} got in with {login}")


ada = {"user": "ada@acme.example"}
app = {"user": "app", "password": "sbx-secret-app-password"}
who = "select current_user"
assert ask("ada", STAGING, "payments", who, **ada)[0][0] == "ada@acme.example"
assert ask("ada", STAGING, "payments", who, **app)[0][0] == "app"
assert "password authentication failed" in refused("ada", STAGING, "payments", who, user="app", password="wrong")
assert "IAM user authentication failed" in refused("bruno", STAGING, "payments", who, user="bruno@acme.example")
assert "not authorized" in refused("dmitri", STAGING, "payments", who, user="dmitri@acme.example")
# Another edition: the connector goes to the instance itself instead, and is let in there.
assert ask("bruno", ORDERS, "orders", who, user="app", password="sbx-secret-app-password")[0][0] == "app"

# Some 8 MB there and back.
text = "".join(hashlib.sha256(str(row).encode()).hexdigest() for row in range(125_000))
with connector("ada") as opened:
    connection = opened.connect(STAGING, "pg8000", ip_type="SQL_DATA", db="payments", **ada)
    cursor = connection.cursor()
    cursor.execute("select cast(%s as text)", (text,))
    assert cursor.fetchone()[0] == text
    connection.close()
print("ok")
