import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.Properties;

/** What a driver says of a refusal: {@code Refusal URL SQL [PASSWORD]} prints the SQLSTATE, the code and the message. */
final class Refusal {
    private Refusal() {}

    public static void main(String[] args) {
        Properties properties = new Properties();
        if (args.length > 2) {
            properties.setProperty("password", args[2]);
        }
        try (Connection connection = DriverManager.getConnection(args[0], properties);
                Statement statement = connection.createStatement()) {
            statement.execute(args[1]);
            System.out.println("not refused");
        } catch (SQLException refusal) {
            System.out.println(refusal.getSQLState() + " " + refusal.getErrorCode() + " " + refusal.getMessage());
        }
    }
}
