import java.sql.SQLException;

/** What the two databases say differently. */
enum Dialect {
    POSTGRES(
            "ada@acme.example",
            "select pg_backend_pid()",
            "select pg_sleep(60)",
            "select count(*) from pg_stat_activity where pid = ? and state = 'active' and query like '%sleep%'",
            "insert into merchants (name, country) values (?, 'DE')",
            "select count(*) from merchants where name = ?",
            "create temporary table bulk (id integer primary key, line text not null, bytes bytea not null)"),
    MYSQL(
            "ada@%",
            "select connection_id()",
            "select sleep(60)",
            "select count(*) from information_schema.processlist where id = ? and info like '%sleep%'",
            "insert into carts (customer, opened) values (?, now())",
            "select count(*) from carts where customer = ?",
            "create temporary table bulk (id integer primary key, line text not null, bytes longblob not null)"
                    + " character set utf8mb4");

    /** Who one is for {@code select current_user}. */
    final String user;
    /** Which session this is. */
    final String session;
    /** What takes a minute, unless it is cancelled. */
    final String sleep;
    /** Whether a session is at that. */
    final String isAsleep;
    /** Puts a name into a table that others see as well. */
    final String insert;
    /** How often a name is there. */
    final String count;
    /** A table of one's own, for much. */
    final String temporary;

    Dialect(
            String user, String session, String sleep, String isAsleep, String insert, String count, String temporary) {
        this.user = user;
        this.session = session;
        this.sleep = sleep;
        this.isAsleep = isAsleep;
        this.insert = insert;
        this.count = count;
        this.temporary = temporary;
    }

    static Dialect of(String url) {
        return url.startsWith("jdbc:postgresql:") ? POSTGRES : MYSQL;
    }

    /** Whether a driver says that a statement was cancelled. Oracle's has no SQLSTATE for it. */
    boolean isCancelled(SQLException exception) {
        return this == POSTGRES
                ? "57014".equals(exception.getSQLState())
                : "70100".equals(exception.getSQLState())
                        || "Statement cancelled due to client request".equals(exception.getMessage());
    }
}
