-- A few ratings of movies whose titles would break a careless page.
CREATE TABLE ratings AS
SELECT c AS customer_id, m AS movie_id, 1 + (c * m + c / 3) % 5 AS rating, date '2004-01-05' + (c * 7 + m) % 300 AS rated_on,
       (c + 3 * m) % 10 = 0 AS is_probe
FROM generate_series(1, 90) AS c, generate_series(1, 24) AS m WHERE (c + m) % 4 > 0;
SELECT FROM ratings_load('TABLE ratings');
UPDATE dim_movie SET title = CASE movie_id % 12
    WHEN 1 THEN '<script>alert(1)</script>'
    WHEN 2 THEN 'A & B "C" ''D'' </svg></title></style>'
    WHEN 3 THEN repeat('Wide ', 40)
    WHEN 4 THEN E'\u05e9\u05dc\u05d5\u05dd \u05e2\u05d5\u05dc\u05dd'
    WHEN 5 THEN E'\U0001F600 \U0001F3AC \U0001F468\u200D\U0001F469\u200D\U0001F467'
    WHEN 6 THEN E'$x^2$ and \\$5 {{7*7}} %s \u202Ereversed\u202C\x01 ]]>'
    WHEN 8 THEN repeat('W', 200)
    WHEN 9 THEN E'\u0645\u0631\u062d\u0628\u0627 \u0628\u0627\u0644\u0639\u0627\u0644\u0645 (2004)'
    WHEN 10 THEN E'\u4e03\u4eba\u306e\u4f8d'
    ELSE CASE WHEN movie_id % 12 > 10 THEN '<img src=x onerror=alert(1)>' END END,
    release_year = CASE WHEN movie_id % 12 <> 7 THEN 1970 + movie_id END;
SELECT FROM train_als('<b>"als" & co</b>', factors => 3, iterations => 3);
SELECT FROM train_baseline(repeat('long name ', 6));
SELECT FROM graph_project_movies('<i>graph</i>', 'count', min_common => 1, top_k => 4);
SELECT FROM grid_search('als', '{"regularization": [0.02, 0.05], "factors": [1, 2], "iterations": [1, 2]}', folds => 2);
