"""Reaches the sandbox's payments-staging with Google's connector: by password, and by automatic IAM authentication."""

import os
import tomllib

from google.cloud.sql.connector import Connector
from google.oauth2.credentials import Credentials

INSTANCE = "acme-staging:europe-west1:payments"

with open(os.environ["BSQL_CONFIG"], "rb") as file:
    endpoints = tomllib.load(file)["profiles"]["sandbox"]["google"]["endpoints"]


def credentials(person):
    return Credentials(
        token=None,
        refresh_token=f"sbx-secret-google-refresh-{person}",
        token_uri=endpoints["sts"].rstrip("/") + "/token",
        client_id="connector",
        client_secret="connector",
        scopes=["https://www.googleapis.com/auth/sqlservice.admin"],
    )


def ask(person, **login):
    with Connector(credentials=credentials(person), sqladmin_api_endpoint=endpoints["sql_admin"].rstrip("/")) as connector:
        connection = connector.connect(INSTANCE, "pg8000", db="payments", **login)
        try:
            cursor = connection.cursor()
            cursor.execute("select current_user, count(*) from payments")
            return cursor.fetchone()
        finally:
            connection.close()


def refused(person, **login):
    try:
        ask(person, **login)
    except Exception as error:  # The driver's own class for what the server refuses differs by version.
        return str(error)
    raise AssertionError(f"{person} got in with {login}")


user, rows = ask("ada", user="app", password="sbx-secret-app-password")
assert (user, rows > 0) == ("app", True), (user, rows)
user, rows = ask("ada", user="ada@acme.example", enable_iam_auth=True)
assert (user, rows > 0) == ("ada@acme.example", True), (user, rows)
assert "password authentication failed" in refused("ada", user="app", password="wrong")
assert "IAM user authentication failed" in refused("bruno", user="bruno@acme.example", enable_iam_auth=True)
assert "not authorized" in refused("dmitri", user="dmitri@acme.example", enable_iam_auth=True)
print("ok")
