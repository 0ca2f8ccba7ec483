"""Reaches the sandbox's storefront-staging and warehouse-staging with Google's connector, through PyMySQL and python-tds."""

import os
import tomllib

from google.cloud.sql.connector import Connector
from google.oauth2.credentials import Credentials

STOREFRONT = "acme-staging:europe-west1:storefront"
WAREHOUSE = "acme-staging:europe-west1:warehouse"
PASSWORD = "sbx-secret-app-password"

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


def ask(person, instance, driver, sql, **login):
    with Connector(credentials=credentials(person), sqladmin_api_endpoint=endpoints["sql_admin"].rstrip("/")) as connector:
        connection = connector.connect(instance, driver, db=instance.rsplit(":", 1)[1], **login)
        try:
            cursor = connection.cursor()
            cursor.execute(sql)
            return cursor.fetchall()
        finally:
            connection.close()


def refused(*arguments, **login):
    try:
        ask(*arguments, **login)
    except Exception as error:  # The drivers have classes of their own for what a server refuses.
        return error
    raise AssertionError(f"{arguments} got in with {login}")


def check(what, expected, found):
    assert expected in str(found), f"{what}: expected {expected!r}, found {found!r}"


storefront = (STOREFRONT, "pymysql", "select current_user(), count(*) from products")
assert ask("ada", *storefront, user="app", password=PASSWORD) == (("app@%", 5),)
# The connector takes what follows the @ off by itself.
for user in ["ada", "ada@acme.example"]:
    assert ask("ada", *storefront, user=user, enable_iam_auth=True) == (("ada@%", 5),)
wrong = refused("ada", *storefront, user="app", password="wrong")
assert wrong.args[0] == 1045, wrong
check("a wrong password", "Access denied for user 'app'", wrong)
# Her certificate is hers alone, and nobody else's is good for her.
for person, user in [("ada", "chloe"), ("ada", "app"), ("chloe", "ada")]:
    error = refused(person, *storefront, user=user, enable_iam_auth=True)
    assert error.args[0] == 1045, (person, user, error)
    check(f"{person} as {user}", "IAM", error)
check("dmitri", "not authorized", refused("dmitri", *storefront, user="dmitri", enable_iam_auth=True))

# A row that is longer than what is read at once.
(back,) = ask("ada", STOREFRONT, "pymysql", "select repeat('x', 1000000), 'y'", user="ada", enable_iam_auth=True)
assert (len(back[0]), back[1]) == (1_000_000, "y")

# A transaction would be the driver's first request, before the batch.
warehouse = (WAREHOUSE, "pytds", "select 1")
nobody = refused("ada", *warehouse, user="app", password=PASSWORD, autocommit=True)
check("a batch", "the sandbox has no SQL Server behind this instance", nobody)
wrong = refused("ada", *warehouse, user="app", password="wrong", autocommit=True)
assert wrong.msg_no == 18456, repr(wrong)
check("a wrong password", "Login failed for user 'app'", wrong)
print("ok")
