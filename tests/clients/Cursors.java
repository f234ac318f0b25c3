import java.sql.*;

/**
 * Tests setFetchSize(): without autocommit, the driver fetches few rows at a time, so it can read the first rows of a list that does not
 * fit into its memory. run.sh gives the virtual machine little memory. Environment: URL.
 */
public class Cursors {
    // Some 470,000 rows, which take more than 40 MB in the driver's memory.
    private static final String FROM = "SELECT customer_id, rank, title FROM recommend_all(100)";
    private static final String SELECT_LIST =
            "SELECT (r).customer_id, (r).rank, (r).title FROM (SELECT recommend_all(100) AS r) AS lists";

    public static void main(String[] arguments) throws Exception {
        int tests = 0;
        try (Connection connection = DriverManager.getConnection(System.getenv("URL"), System.getenv("PGUSER"), "")) {
            connection.setAutoCommit(false);
            for (String call : new String[] {FROM, SELECT_LIST}) {
                try (Statement statement = connection.createStatement()) {
                    statement.setFetchSize(10);
                    try (ResultSet rows = statement.executeQuery(call)) {
                        for (int rank = 1; rank <= 10; rank++) {
                            if (!rows.next() || rows.getInt("rank") != rank) {
                                throw new AssertionError("no row of rank " + rank + ": " + call);
                            }
                        }
                    }
                }
                connection.commit();
                tests++;
            }
        }
        System.out.println("JDBC: " + tests + " tests of setFetchSize()");
    }
}
