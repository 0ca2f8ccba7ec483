"""Reaches the sandbox's payments-staging with Google's connector: by password, and by automatic IAM authentication."""

from world import PASSWORD, connector, refused, rows

INSTANCE = "acme-staging:europe-west1:payments"


def ask(person, **login):
    sql = "select current_user, count(*) from payments"
    with connector(person) as opened:
        return rows(opened, INSTANCE, "pg8000", sql, db="payments", **login)[0]


user, count = ask("ada", user="app", password=PASSWORD)
assert (user, count > 0) == ("app", True), (user, count)
user, count = ask("ada", user="ada@acme.example", enable_iam_auth=True)
assert (user, count > 0) == ("ada@acme.example", True), (user, count)
assert "password authentication failed" in str(refused(ask, "ada", user="app", password="wrong"))
assert "IAM user authentication failed" in str(refused(ask, "bruno", user="bruno@acme.example", enable_iam_auth=True))
assert "not authorized" in str(refused(ask, "dmitri", user="dmitri@acme.example", enable_iam_auth=True))
print("ok")
