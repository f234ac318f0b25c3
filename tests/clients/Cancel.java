import java.sql.*;

/** Tests Statement.cancel() and setQueryTimeout() during a training and a long list. Environment: URL. */
public class Cancel {
    // Each takes much longer than the test waits.
    private static final String TRAINING = "SELECT * FROM train_als('cancelled by JDBC', iterations => 1000)";
    private static final String LISTS =
            "SELECT count(*) FROM generate_series(1, 1000) AS g, LATERAL recommend_all(100, min_year => 1900 + g % 2)";
    private static int tests = 0;

    public static void main(String[] arguments) throws Exception {
        try (Connection connection = DriverManager.getConnection(System.getenv("URL"), System.getenv("PGUSER"), "")) {
            for (String call : new String[] {TRAINING, LISTS}) {
                for (boolean byTimeout : new boolean[] {true, false}) {
                    cancel(connection, call, byTimeout);
                    ask(connection, "SELECT 1 / (count(*) = 3)::int FROM recommend(42, 3)");
                }
            }
            if (!ask(connection, "SELECT count(*) FROM models WHERE model = 'cancelled by JDBC'").equals("0")) {
                throw new AssertionError("a cancelled training has left a model");
            }
        }
        System.out.println("JDBC: " + tests + " tests of cancel() and setQueryTimeout()");
    }

    private static void cancel(Connection connection, String call, boolean byTimeout) throws Exception {
        try (Statement statement = connection.createStatement()) {
            Thread thread = new Thread(() -> {
                try {
                    Thread.sleep(1000);
                    statement.cancel();
                } catch (Exception error) {
                    throw new RuntimeException(error);
                }
            });
            if (byTimeout) {
                statement.setQueryTimeout(1);
            } else {
                thread.start();
            }
            long start = System.nanoTime();
            try {
                statement.executeQuery(call);
                throw new AssertionError("not cancelled: " + call);
            } catch (SQLException error) {
                double seconds = (System.nanoTime() - start) / 1e9;
                if (!error.getSQLState().equals("57014") || seconds > 6) {
                    throw new AssertionError("after " + seconds + " s: " + call, error);
                }
            }
            thread.join();
        }
        tests++;
    }

    private static String ask(Connection connection, String query) throws SQLException {
        try (Statement statement = connection.createStatement(); ResultSet rows = statement.executeQuery(query)) {
            rows.next();
            return rows.getString(1);
        }
    }
}
