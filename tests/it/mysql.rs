//! MySQL, end to end: the sandbox's instance with a real MariaDB behind it, and its own client.

use std::process::Command;

use crate::support::TestEnv;

const NAME: &str = "storefront-staging";

/// Both the server and its client come from packages that not every machine has.
#[expect(clippy::print_stdout, reason = "a skipped test says so")]
fn is_installed() -> bool {
    let there = |program: &str| Command::new(program).arg("--version").output().is_ok();
    let installed = there("mariadb") && (there("mariadbd") || there("/usr/sbin/mariadbd"));
    if !installed {
        println!("skipped: needs MariaDB's server and client");
    }
    installed
}

#[test]
fn bsql_speaks_it_itself() {
    if !is_installed() {
        return;
    }
    let env = TestEnv::signed_in("ada");
    let sql = "select current_user() as me, count(*) as n from products";
    let run = env.bsql(&["query", NAME, "-o", "csv", sql]).succeeds();
    assert_eq!(run.stdout, "me,n\nada@%,5\n");
    env.bsql(&["query", NAME, "delete from carts"])
        .fails(77)
        .says(&["READ ONLY transaction", "1792", "--write"]);
    let title = "select title from products where sku = :sku";
    let run = env
        .bsql(&["query", NAME, "-o", "csv", "-p", "sku=ROPE-20", title])
        .succeeds();
    assert_eq!(run.stdout, "title\n\"Rope, 20 m\"\n");
    // Whose engine only Google knows.
    let raw = "acme-staging:europe-west1:storefront";
    let run = env
        .bsql(&[
            "query",
            raw,
            "--database",
            "storefront",
            "-o",
            "csv",
            "select 1 as one",
        ])
        .succeeds();
    assert_eq!(run.stdout, "one\n1\n");
}

#[test]
fn its_client_is_signed_in() {
    if !is_installed() {
        return;
    }
    let env = TestEnv::signed_in("ada");
    let sql = "select current_user(), database()";
    let run = env
        .bsql(&[
            "connect", NAME, "--client", "mariadb", "--", "-N", "-e", sql,
        ])
        .succeeds();
    assert_eq!(run.stdout, "ada@%\tstorefront\n");
    env.bsql(&["connect", "warehouse-staging"])
        .fails(64)
        .says(&["SQL Server on Cloud SQL has no IAM login", "-u USER"]);
}
