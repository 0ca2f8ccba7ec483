import com.zaxxer.hikari.HikariConfig;
import com.zaxxer.hikari.HikariDataSource;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Random;
import java.util.TreeSet;
import java.util.concurrent.CompletableFuture;

/**
 * What an application does with a pool of connections, through a tunnel: {@code Application URL...}, each as
 * {@code bsql dsn --format jdbc} prints it. It cuts its own connections with {@code $BSQL sandbox fault}.
 */
final class Application implements AutoCloseable {
    private static final int POOL = 5;
    private static final int ROWS = 5000;

    private final Dialect dialect;
    private final String url;
    private final HikariDataSource pool;

    private Application(String url) {
        this.dialect = Dialect.of(url);
        this.url = url;
        HikariConfig config = new HikariConfig();
        config.setJdbcUrl(url);
        config.setMaximumPoolSize(POOL);
        this.pool = new HikariDataSource(config);
    }

    @Override
    public void close() {
        pool.close();
    }

    public static void main(String[] urls) throws Exception {
        // Looks at each connection before it hands it out, also at one that was in use a moment ago.
        System.setProperty("com.zaxxer.hikari.aliveBypassWindowMs", "0");
        for (String url : urls) {
            try (Application application = new Application(url)) {
                String driver;
                try (Connection connection = application.pool.getConnection()) {
                    driver = connection.getMetaData().getDriverName() + " "
                            + connection.getMetaData().getDriverVersion();
                }
                application.manyAtOnce();
                application.transaction();
                application.cancel();
                application.batch();
                application.cut();
                System.out.println("ok: " + driver);
            }
        }
    }

    private void manyAtOnce() throws SQLException {
        List<Connection> connections = new ArrayList<>();
        TreeSet<String> sessions = new TreeSet<>();
        for (int each = 0; each < POOL; each++) {
            Connection connection = pool.getConnection();
            connections.add(connection);
            require(dialect.user, one(connection, "select current_user"));
            sessions.add(one(connection, dialect.session));
        }
        require(POOL, sessions.size());
        for (Connection connection : connections) {
            connection.close();
        }
    }

    private void transaction() throws SQLException {
        String name = "driver " + url.hashCode() + " " + ProcessHandle.current().pid();
        try (Connection writer = pool.getConnection();
                Connection reader = pool.getConnection()) {
            writer.setAutoCommit(false);
            insert(writer, name);
            require("0", one(reader, dialect.count, name));
            writer.rollback();
            require("0", one(writer, dialect.count, name));
            insert(writer, name);
            writer.commit();
            require("1", one(reader, dialect.count, name));
            writer.setAutoCommit(true);
        }
    }

    private void insert(Connection connection, String name) throws SQLException {
        try (PreparedStatement insert = connection.prepareStatement(dialect.insert)) {
            insert.setString(1, name);
            require(1, insert.executeUpdate());
        }
    }

    /** A cancel is a connection of its own, which must reach the same instance. */
    private void cancel() throws Exception {
        try (Connection busy = pool.getConnection();
                Connection watching = pool.getConnection();
                Statement statement = busy.createStatement()) {
            int session = Integer.parseInt(one(busy, dialect.session));
            CompletableFuture<SQLException> sleeping = CompletableFuture.supplyAsync(() -> {
                try {
                    statement.execute(dialect.sleep);
                    return null;
                } catch (SQLException exception) {
                    return exception;
                }
            });
            while (!sleeping.isDone() && !one(watching, dialect.isAsleep, session).equals("1")) {
                Thread.sleep(10);
            }
            statement.cancel();
            SQLException cancelled = sleeping.get();
            if (cancelled == null || !dialect.isCancelled(cancelled)) {
                throw new AssertionError("not cancelled", cancelled);
            }
            require(dialect.user, one(busy, "select current_user"));
        }
    }

    private void batch() throws Exception {
        MessageDigest sent = MessageDigest.getInstance("SHA-256");
        MessageDigest received = MessageDigest.getInstance("SHA-256");
        Random random = new Random(5);
        try (Connection connection = pool.getConnection();
                Statement statement = connection.createStatement()) {
            statement.execute(dialect.temporary);
            connection.setAutoCommit(false);
            try (PreparedStatement insert = connection.prepareStatement("insert into bulk values (?, ?, ?)")) {
                for (int id = 0; id < ROWS; id++) {
                    String line = "Zeile " + id + " — 'ключ' \\ \uD83D\uDD11";
                    byte[] bytes = new byte[random.nextInt(1, 400)];
                    random.nextBytes(bytes);
                    insert.setInt(1, id);
                    insert.setString(2, line);
                    insert.setBytes(3, bytes);
                    insert.addBatch();
                    digest(sent, id, line, bytes);
                }
                require(ROWS, insert.executeBatch().length);
            }
            connection.commit();
            // Rows come in parts. Only so does MySQL's driver not wait for all of them.
            statement.setFetchSize(url.startsWith("jdbc:mysql:") ? Integer.MIN_VALUE : 100);
            try (var rows = statement.executeQuery("select id, line, bytes from bulk order by id")) {
                while (rows.next()) {
                    digest(received, rows.getInt(1), rows.getString(2), rows.getBytes(3));
                }
            }
            connection.commit();
            connection.setAutoCommit(true);
        }
        HexFormat hex = HexFormat.of();
        require(hex.formatHex(sent.digest()), hex.formatHex(received.digest()));
    }

    private static void digest(MessageDigest digest, int id, String line, byte[] bytes) {
        digest.update((id + "\n" + line + "\n").getBytes(StandardCharsets.UTF_8));
        digest.update(bytes);
    }

    /** Every connection is cut, as at a failover: who is at work hears of it, and the pool has another. */
    private void cut() throws Exception {
        try (Connection held = pool.getConnection()) {
            String session = one(held, dialect.session);
            int generation = (int) (System.nanoTime() >>> 10 & 0xffffff);
            int status = new ProcessBuilder(
                            System.getenv("BSQL"), "-q", "sandbox", "fault", "set", "session_generation=" + generation)
                    .inheritIO()
                    .start()
                    .waitFor();
            require(0, status);
            try {
                one(held, dialect.sleep);
                throw new AssertionError("the connection was not cut");
            } catch (SQLException exception) {
                require("08", String.valueOf(exception.getSQLState()).substring(0, 2));
            }
            try (Connection next = pool.getConnection()) {
                require(dialect.user, one(next, "select current_user"));
                require(false, session.equals(one(next, dialect.session)));
            }
        }
    }

    private static String one(Connection connection, String sql, Object... parameters) throws SQLException {
        try (PreparedStatement statement = connection.prepareStatement(sql)) {
            for (int place = 0; place < parameters.length; place++) {
                statement.setObject(place + 1, parameters[place]);
            }
            try (var rows = statement.executeQuery()) {
                rows.next();
                return rows.getString(1);
            }
        }
    }

    private static void require(Object expected, Object found) {
        if (!expected.equals(found)) {
            throw new AssertionError("expected " + expected + " and found " + found);
        }
    }
}
