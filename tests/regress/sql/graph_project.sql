-- A projection is what a plain self-join says, whatever the similarity, and the same bytes whatever the number of threads.
CREATE EXTENSION netflix_rec;
SET client_min_messages = warning;
SELECT ratings_loaded FROM netflix_load('/tmp/netflix_rec_test/fixtures/layouts/files');

-- Every similarity is what a plain self-join says.
CREATE TEMP TABLE rated AS
    SELECT customer_id, movie_id, rating::float8 AS r FROM fact_ratings JOIN dim_customer USING (customer_key) JOIN dim_movie USING (movie_key);
CREATE TEMP TABLE biased AS
    WITH mean AS (SELECT avg(r) AS mu FROM rated),
    movie AS (SELECT movie_id, sum(r - mu) / (count(*) + 25) AS b FROM rated, mean GROUP BY 1),
    customer AS (SELECT customer_id, sum(r - mu - b) / (count(*) + 10) AS c, count(*) AS n FROM rated JOIN movie USING (movie_id), mean GROUP BY 1)
    SELECT customer_id, movie_id, r, r - mu - b - c AS e, 1 / greatest(n - 1, 1)::float8 AS newman,
           ln((SELECT count(DISTINCT movie_id) FROM rated) / n::float8) AS inverse
    FROM rated JOIN movie USING (movie_id) JOIN customer USING (customer_id), mean;
CREATE TEMP TABLE total AS
    SELECT movie_id, count(*) AS n, sum(r * r) AS rr, sum(newman) AS newman, sum(inverse * r * r) AS inverse_rr FROM biased GROUP BY 1;
CREATE TEMP TABLE pair AS
    SELECT x.movie_id AS from_id, y.movie_id AS to_id, count(*) AS n, sum(x.r * y.r) AS xy, sum(x.e * y.e) AS ee, sum(x.e * x.e) AS xx,
           sum(y.e * y.e) AS yy, sum(x.newman) AS newman, sum(x.inverse * x.r * y.r) AS inverse_xy
    FROM biased x JOIN biased y USING (customer_id) WHERE x.movie_id < y.movie_id GROUP BY 1, 2 HAVING count(*) >= 5;
CREATE TEMP TABLE expected AS
    SELECT from_id, to_id, pair.n, pair.newman, ee / sqrt(xx * yy) * (pair.n - 1) / (pair.n - 1 + 100.0) AS pearson, xy / sqrt(a.rr * b.rr) AS cosine,
           pair.n / (a.n + b.n - pair.n)::float8 AS jaccard, pair.n::float8 AS count, pair.newman / (a.newman + b.newman - pair.newman) AS jaccard_newman,
           inverse_xy / sqrt(a.inverse_rr * b.inverse_rr) AS cosine_inverse_frequency,
           CASE WHEN pair.n * every > a.n * b.n THEN 2 * (pair.n * ln(pair.n * every / (a.n * b.n)::float8)
               + CASE WHEN a.n > pair.n THEN (a.n - pair.n) * ln((a.n - pair.n) * every / (a.n * (every - b.n))::float8) ELSE 0 END
               + CASE WHEN b.n > pair.n THEN (b.n - pair.n) * ln((b.n - pair.n) * every / (b.n * (every - a.n))::float8) ELSE 0 END
               + (every - a.n - b.n + pair.n) * ln((every - a.n - b.n + pair.n) * every / ((every - a.n) * (every - b.n))::float8)) ELSE 0 END AS llr
    FROM pair JOIN total a ON a.movie_id = from_id JOIN total b ON b.movie_id = to_id, (SELECT count(DISTINCT customer_id) AS every FROM rated) AS every;
CREATE FUNCTION differences(column_name text, similarity text, weighting text) RETURNS TABLE (edges_differ bigint, too_far bigint, enough bool)
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM graph_project_movies('all', similarity, min_common => 5, top_k => 100000, weighting => weighting);
    RETURN QUERY EXECUTE format(
        'SELECT count(*) FILTER (WHERE (e.from_id IS NULL OR x.from_id IS NULL) AND coalesce(x.value, 1) > 1e-5),
                count(*) FILTER (WHERE abs(e.weight - x.value) > 1e-4 * greatest(x.value, 0.1) OR e.n_common <> x.n), count(e.weight) > 500
         FROM (SELECT from_id, to_id, n, %I AS value FROM expected WHERE %1$I > 0) x
         FULL JOIN (SELECT * FROM graph_edges WHERE graph = ''all'') e USING (from_id, to_id)', column_name);
    PERFORM graph_drop('all');
END $$;
SELECT c, (differences(c, s, w)).* FROM (VALUES ('pearson', 'pearson', 'none'), ('cosine', 'cosine', 'none'), ('jaccard', 'jaccard', 'none'),
    ('llr', 'llr', 'none'), ('count', 'count', 'none'), ('newman', 'count', 'newman'), ('jaccard_newman', 'jaccard', 'newman'),
    ('cosine_inverse_frequency', 'cosine', 'inverse_frequency')) AS v (c, s, w);

-- The edges are the same bytes with any number of threads.
SET netflix_rec.threads = 1;
SELECT FROM graph_project_movies('one_thread');
SET netflix_rec.threads = 4;
SELECT FROM graph_project_movies('four_threads');
RESET netflix_rec.threads;
SELECT count(DISTINCT digest) AS digests FROM (
    SELECT md5(string_agg(format('%s %s %s %s', from_id, to_id, weight, n_common), ',' ORDER BY from_id, to_id)) AS digest FROM graph_edges GROUP BY graph) AS d;
SELECT graph_drop('one_thread'), graph_drop('four_threads');

DROP FUNCTION differences;
DROP EXTENSION netflix_rec;
