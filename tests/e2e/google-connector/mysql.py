"""Reaches the sandbox's storefront-staging and warehouse-staging with Google's connector, through PyMySQL and python-tds."""

from world import PASSWORD, connector, refused, rows

STOREFRONT = "acme-staging:europe-west1:storefront"
WAREHOUSE = "acme-staging:europe-west1:warehouse"


def ask(person, instance, driver, sql, **login):
    with connector(person) as opened:
        return rows(opened, instance, driver, sql, db=instance.rsplit(":", 1)[1], **login)


def check(what, expected, found):
    assert expected in str(found), f"{what}: expected {expected!r}, found {found!r}"


storefront = (STOREFRONT, "pymysql", "select current_user(), count(*) from products")
assert ask("ada", *storefront, user="app", password=PASSWORD) == (("app@%", 5),)
# The connector takes what follows the @ off by itself.
for user in ["ada", "ada@acme.example"]:
    assert ask("ada", *storefront, user=user, enable_iam_auth=True) == (("ada@%", 5),)
wrong = refused(ask, "ada", *storefront, user="app", password="wrong")
assert wrong.args[0] == 1045, wrong
check("a wrong password", "Access denied for user 'app'", wrong)
# Her certificate is hers alone, and nobody else's is good for her.
for person, user in [("ada", "chloe"), ("ada", "app"), ("chloe", "ada")]:
    error = refused(ask, person, *storefront, user=user, enable_iam_auth=True)
    assert error.args[0] == 1045, (person, user, error)
    check(f"{person} as {user}", "IAM", error)
check("dmitri", "not authorized", refused(ask, "dmitri", *storefront, user="dmitri", enable_iam_auth=True))

# A row that is longer than what is read at once.
(back,) = ask("ada", STOREFRONT, "pymysql", "select repeat('x', 1000000), 'y'", user="ada", enable_iam_auth=True)
assert (len(back[0]), back[1]) == (1_000_000, "y")

# A transaction would be the driver's first request, before the batch.
warehouse = (WAREHOUSE, "pytds", "select 1")
nobody = refused(ask, "ada", *warehouse, user="app", password=PASSWORD, autocommit=True)
check("a batch", "the sandbox has no SQL Server behind this instance", nobody)
wrong = refused(ask, "ada", *warehouse, user="app", password="wrong", autocommit=True)
assert wrong.msg_no == 18456, repr(wrong)
check("a wrong password", "Login failed for user 'app'", wrong)
print("ok")
