"""The sandbox's Google, and who may ask it, for Google's connector."""

import os
import tomllib

from google.oauth2.credentials import Credentials

PASSWORD = "sbx-secret-app-password"

with open(os.environ["BSQL_CONFIG"], "rb") as file:
    endpoints = tomllib.load(file)["profiles"]["sandbox"]["google"]["endpoints"]


def connector(person, **options):
    """A connector with the tokens of a person."""
    # Here, for whoever sets up gRPC before it is loaded.
    from google.cloud.sql.connector import Connector

    credentials = Credentials(
        token=None,
        refresh_token=f"sbx-secret-google-refresh-{person}",
        token_uri=endpoints["sts"].rstrip("/") + "/token",
        client_id="connector",
        client_secret="connector",
        scopes=["https://www.googleapis.com/auth/sqlservice.admin"],
    )
    return Connector(credentials=credentials, sqladmin_api_endpoint=endpoints["sql_admin"].rstrip("/"), **options)


def rows(opened, instance, driver, sql, **login):
    """What the database answers."""
    connection = opened.connect(instance, driver, **login)
    try:
        cursor = connection.cursor()
        cursor.execute(sql)
        return cursor.fetchall()
    finally:
        connection.close()


def refused(ask, *arguments, **login):
    """Why somebody is not let in: the drivers have classes of their own for that, which differ by version."""
    try:
        ask(*arguments, **login)
    except Exception as error:
        return error
    raise AssertionError(f"{arguments} got in with {login}")
