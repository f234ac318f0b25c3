import java.math.BigDecimal;
import java.sql.*;
import java.util.Properties;

/** Tests what docs/clients.md says of JDBC: how texts and Java's arrays are bound, and which error a program gets. Environment: URL. */
public class Binding {
    private static final String RECOMMEND = "SELECT string_agg(title, ',' ORDER BY rank) FROM recommend(?, 3)";
    private static final String RECOMMEND_FOR = "SELECT string_agg(title, ',' ORDER BY rank) FROM recommend_for(?, ?, 3)";
    private static int tests = 0;

    private interface Binder {
        void bind(PreparedStatement statement) throws SQLException;
    }

    public static void main(String[] arguments) throws Exception {
        try (Connection connection = connect(null); Connection unspecified = connect("unspecified")) {
            String list = ask(connection, RECOMMEND, s -> s.setLong(1, 42));
            String text = "function recommend(character varying, integer) does not exist";
            refused(connection, RECOMMEND, "42883", text, s -> s.setString(1, "42"));
            refused(connection, RECOMMEND, "42883", "function recommend(numeric, integer)", s -> s.setBigDecimal(1, BigDecimal.valueOf(42)));
            refused(connection, RECOMMEND, "42883", "function recommend(double precision, integer)", s -> s.setDouble(1, 42));
            same(list, connection, RECOMMEND, s -> s.setObject(1, "42", Types.BIGINT));
            same(list, connection, RECOMMEND, s -> s.setObject(1, "42", Types.OTHER));
            same(list, connection, RECOMMEND.replace("?", "?::bigint"), s -> s.setString(1, "42"));
            same(list, unspecified, RECOMMEND, s -> s.setString(1, "42"));
            refused(unspecified, RECOMMEND, "22P02", "invalid input syntax for type bigint: \"x\"", s -> s.setString(1, "x"));

            String folded = ask(connection, RECOMMEND_FOR.replace("?, ?", "'{1,2}', '{5,4.5}'"), s -> { });
            same(folded, connection, RECOMMEND_FOR, s -> {
                s.setObject(1, new int[] {1, 2});
                s.setObject(2, new double[] {5, 4.5});
            });
            same(folded, connection, RECOMMEND_FOR, s -> {
                s.setObject(1, new long[] {1, 2});
                s.setObject(2, new float[] {5, 4.5f});
            });
            refused(connection, RECOMMEND_FOR, "42883", "function recommend_for(text[], double precision[], integer)", s -> {
                s.setArray(1, connection.createArrayOf("text", new String[] {"1", "2"}));
                s.setObject(2, new double[] {5, 4.5});
            });
            same("0", connection, "SELECT count(*) FROM recommend_all(customer_ids => ?)",
                    s -> s.setArray(1, connection.createArrayOf("int8", new Object[0])));
        }
        System.out.println("JDBC: " + tests + " tests of how ids and arrays are bound");
    }

    private static Connection connect(String stringType) throws SQLException {
        Properties properties = new Properties();
        properties.setProperty("user", System.getenv("PGUSER"));
        if (stringType != null) {
            properties.setProperty("stringtype", stringType);
        }
        return DriverManager.getConnection(System.getenv("URL"), properties);
    }

    private static String ask(Connection connection, String call, Binder binder) throws SQLException {
        try (PreparedStatement statement = connection.prepareStatement(call)) {
            binder.bind(statement);
            try (ResultSet rows = statement.executeQuery()) {
                rows.next();
                return rows.getString(1);
            }
        }
    }

    private static void same(String wanted, Connection connection, String call, Binder binder) throws SQLException {
        String found = ask(connection, call, binder);
        if (!wanted.equals(found)) {
            throw new AssertionError(call + " gives " + found + ", not " + wanted);
        }
        tests++;
    }

    private static void refused(Connection connection, String call, String state, String message, Binder binder) {
        try {
            throw new AssertionError(call + " gives " + ask(connection, call, binder) + ", not the error: " + message);
        } catch (SQLException error) {
            if (!error.getSQLState().equals(state) || !error.getMessage().contains(message)) {
                throw new AssertionError(call, error);
            }
        }
        tests++;
    }
}
