import java.math.BigDecimal;
import java.sql.*;

/** Tests calls with arguments of each type that JDBC binds: each must return the same as with literals. Environment: URL. */
public class ArgumentTypes {
    private static Connection connection;
    private static int calls = 0;

    public static void main(String[] arguments) throws Exception {
        connection = DriverManager.getConnection(System.getenv("URL"), System.getenv("PGUSER"), "");
        for (Object customer : new Object[] {(short) 42, 42, 42L}) {
            same("SELECT count(*) FROM recommend(42, 3)", "SELECT count(*) FROM recommend(?, ?)", customer, 3);
            same("SELECT predicted_rating(42, 1)", "SELECT predicted_rating(?, ?)", customer, 1L);
            same("SELECT ratings FROM refresh_customer(42)", "SELECT ratings FROM refresh_customer(?)", customer);
        }
        same("SELECT count(*) FROM recommend(1099511627776)", "SELECT count(*) FROM recommend(?)", 1L << 40);
        String list = "SELECT string_agg(movie_id::text, ',' ORDER BY rank) FROM recommend_for(";
        for (String type : new String[] {"int2", "int4", "int8"}) {
            for (String rating : new String[] {"float4", "float8", "numeric"}) {
                Object[] ids = {1, 2, 3};
                Object[] ratings = {new BigDecimal("5"), new BigDecimal("1"), new BigDecimal("4.5")};
                same(list + "'{1,2,3}', '{5,1,4.5}', 3)", list + "?, ?, ?)", connection.createArrayOf(type, ids),
                        connection.createArrayOf(rating, ratings), 3);
            }
            same("SELECT count(*) FROM recommend_all(customer_ids => '{42,7}')",
                    "SELECT count(*) FROM recommend_all(customer_ids => ?)", connection.createArrayOf(type, new Object[] {42, 7}));
        }
        for (Object regularization : new Object[] {0.06f, 0.06, new BigDecimal("0.06")}) {
            same("SELECT 'als'", "SELECT algorithm FROM train_als('jdbc', factors => ?, iterations => ?, regularization => ?)",
                    5L, 1, regularization);
        }
        same("SELECT 'als'", "SELECT algorithm FROM train('als', ?::jsonb, 'jdbc')", "{\"factors\": 5, \"iterations\": 1}");
        same("SELECT 1", "SELECT version FROM deploy_model('jdbc', ?)", 1L);
        ask("SELECT action FROM add_rating(2147483647, 1, 4, '2005-12-30')");
        same("SELECT 'changed'", "SELECT action FROM add_rating(?, ?, ?, ?)", 2147483647, 1L, 5, Date.valueOf("2005-12-30"));
        for (Object rating : new Object[] {5, 5L, 5.0f, 5.0, new BigDecimal("5")}) {
            same("SELECT 'unchanged'", "SELECT action FROM add_rating(?, ?, ?, ?)", 2147483647, 1, rating, Date.valueOf("2005-12-30"));
        }
        connection.close();
        System.out.println("JDBC: " + calls + " tests of argument types");
    }

    private static void same(String literal, String call, Object... values) throws SQLException {
        String wanted = ask(literal);
        String found = ask(call, values);
        if (!wanted.equals(found)) {
            throw new AssertionError(call + " of " + java.util.Arrays.toString(values) + " gives " + found + ", not " + wanted);
        }
        calls++;
    }

    private static String ask(String call, Object... values) throws SQLException {
        try (PreparedStatement statement = connection.prepareStatement(call)) {
            for (int at = 0; at < values.length; at++) {
                statement.setObject(at + 1, values[at]);
            }
            try (ResultSet rows = statement.executeQuery()) {
                rows.next();
                return rows.getString(1);
            }
        }
    }
}
