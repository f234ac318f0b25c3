-- Graphs: movies that the same customers rated, and what the graph tells.
CREATE EXTENSION netflix_rec;
SET client_min_messages = warning;
SELECT * FROM graph_project_movies('movies');
\echo :SQLSTATE
SELECT ratings_loaded FROM netflix_load('/tmp/netflix_rec_test/fixtures/demo');
SET client_min_messages = notice;

-- What a projection will take: bytes, seconds, and how many pairs of ratings are compared.
SELECT bytes > 1000000 AS bytes, seconds BETWEEN 0.001 AND 60 AS seconds,
       pairs = (SELECT sum(rating_count * (rating_count - 1) / 2) FROM dim_customer) AS counted FROM graph_estimate();
SELECT e.pairs < m.pairs AS fewer_pairs FROM graph_estimate('customers', 'jaccard', sample => 0.1) e, graph_estimate() m;

-- By default: the correlation of what is left of the ratings after damped biases, of movies that at least 20 customers have in common;
-- of these, the 50 best of each movie.
SELECT graph, nodes > 500 AS nodes, edges > 5000 AS edges FROM graph_project_movies('movies');
SELECT graph, kind, nodes_are, params, communities FROM graphs;
SELECT graph, from_id < to_id AS ordered, weight BETWEEN 0 AND 1 AS weight, n_common >= 20 AS common, count(*) > 5000 AS edges
FROM graph_edges GROUP BY 1, 2, 3, 4;
SELECT g.nodes = count(DISTINCT node) AS nodes, g.edges = count(*) / 2 AS edges
FROM graphs g, graph_edges e, LATERAL (VALUES (from_id), (to_id)) AS ends(node) WHERE g.graph = 'movies' AND e.graph = 'movies' GROUP BY g.nodes, g.edges;

-- Only what customers liked; customers, by the movies that both rated; and movies by a model's factors.
SELECT nodes > 100 AS nodes, edges > 1000 AS edges FROM graph_project_movies('liked', 'jaccard', min_rating => 4, top_k => 10, min_similarity => 0.01);
SELECT min(weight) >= 0.01 AS similar FROM graph_edges WHERE graph = 'liked';
SELECT nodes > 50 AS nodes, edges > 500 AS edges FROM graph_project_customers('customers', sample => 0.3, min_common => 10, top_k => 10);
SELECT count(*) AS nobody FROM graph_edges e WHERE graph = 'customers' AND NOT EXISTS (SELECT FROM dim_customer c WHERE c.customer_id = e.from_id);
SET client_min_messages = warning;
SELECT model FROM train_als(factors => 8, iterations => 3);
SET client_min_messages = notice;
SELECT nodes = (SELECT count(*) FROM movie_factors) AS nodes FROM graph_project_model('near', top_k => 10);
SELECT max(abs(e.weight - s.similarity)) < 1e-5 AS as_similar_movies, count(*) >= 10 AS ten FROM graph_edges e
JOIN similar_movies((SELECT min(from_id) FROM graph_edges WHERE graph = 'near'), 10) s ON s.movie_id = e.to_id
WHERE graph = 'near' AND from_id = (SELECT min(from_id) FROM graph_edges WHERE graph = 'near');

-- Any edges: Zachary's karate club.
CREATE TABLE karate AS SELECT split_part(edge, ' ', 1)::int AS one, split_part(edge, ' ', 2)::int AS other, split_part(edge, ' ', 3)::int AS weight
FROM regexp_split_to_table('1 2 4,1 3 5,1 4 3,1 5 3,1 6 3,1 7 3,1 8 2,1 9 2,1 11 2,1 12 3,1 13 1,1 14 3,1 18 2,1 20 2,1 22 2,1 32 2,2 3 6,2 4 3,2 8 4,2 14 5,2 18 1,2 20 2,2 22 2,2 31 2,3 4 3,3 8 4,3 9 5,3 10 1,3 14 3,3 28 2,3 29 2,3 33 2,4 8 3,4 13 3,4 14 3,5 7 2,5 11 3,6 7 5,6 11 3,6 17 3,7 17 3,9 31 3,9 33 3,9 34 4,10 34 2,14 34 3,15 33 3,15 34 2,16 33 3,16 34 4,19 33 1,19 34 2,20 34 1,21 33 3,21 34 1,23 33 2,23 34 3,24 26 5,24 28 4,24 30 3,24 33 5,24 34 4,25 26 2,25 28 3,25 32 2,26 32 7,27 30 4,27 34 2,28 34 4,29 32 2,29 34 2,30 33 4,30 34 2,31 33 3,31 34 3,32 33 4,32 34 4,33 34 5', ',') AS edge;
SELECT graph, nodes, edges, elapsed > '0' AS elapsed FROM graph_project_sql('karate', 'SELECT one AS from_id, other AS to_id FROM karate');
SELECT graph, nodes, edges FROM graph_project_sql('weighted karate', 'SELECT one AS from_id, other AS to_id, weight FROM karate');
SELECT nodes, edges, round(density::numeric, 6) AS density, max_degree, components, largest_component, triangles,
       round(transitivity::numeric, 6) AS transitivity, round(mean_clustering::numeric, 6) AS mean_clustering, max_core_number FROM graph_summary('karate');
SELECT node_id, title, degree, strength FROM graph_degree('weighted karate') ORDER BY strength DESC, node_id LIMIT 3;
SELECT node_id, round(score::numeric, 6) AS score FROM graph_pagerank('karate', tol => 1e-10) ORDER BY 2 DESC LIMIT 3;
SELECT node_id, round(score::numeric, 6) AS score FROM graph_pagerank('weighted karate', tol => 1e-10) ORDER BY 2 DESC LIMIT 3;
SELECT round(sum(score)::numeric, 9) AS whole FROM graph_pagerank('karate', personalization => '{1,34}', personalization_weights => '{3,1}');
SELECT node_id, round(score::numeric, 6) AS score FROM graph_pagerank('karate', personalization => '{17}') ORDER BY 2 DESC LIMIT 2;
SELECT node_id, round(score::numeric, 6) AS score, standard_error FROM graph_betweenness('karate') ORDER BY score DESC LIMIT 3;
SELECT node_id, round(score::numeric, 6) AS score FROM graph_betweenness('karate', weighted => true, normalized => false) ORDER BY score DESC LIMIT 3;
SELECT count(*) FILTER (WHERE abs(e.score - s.score) > 3 * s.standard_error AND s.standard_error > 0) <= 2 AS within, max(s.standard_error) > 0 AS sampled
FROM graph_betweenness('karate') e JOIN graph_betweenness('karate', k => 20) s USING (node_id);
SELECT node_id, round(closeness::numeric, 6) AS closeness, round(harmonic::numeric, 6) AS harmonic FROM graph_closeness('karate') ORDER BY 2 DESC LIMIT 2;
SELECT node_id, round(score::numeric, 6) AS score FROM graph_eigenvector('karate') ORDER BY 2 DESC LIMIT 2;
SELECT node_id, triangles, round(clustering::numeric, 6) AS clustering FROM graph_clustering('karate') ORDER BY triangles DESC, node_id LIMIT 2;
SELECT core_number, count(*) FROM graph_core_number('karate') GROUP BY 1 ORDER BY 1;
SELECT component, count(*) FROM graph_components('karate') GROUP BY 1;

-- Communities are numbered by size. The modularity of Leiden's is the greatest there is.
SELECT community, array_agg(node_id ORDER BY node_id) FROM graph_leiden('karate') GROUP BY 1 ORDER BY 1;
SELECT round(graph_modularity('karate', $$SELECT node_id, community FROM graph_leiden('karate')$$)::numeric, 8) AS leiden,
       round(graph_modularity('karate', $$SELECT node_id, community FROM graph_louvain('karate')$$)::numeric, 8) AS louvain,
       round(graph_modularity('weighted karate', $$SELECT node_id, community FROM graph_leiden('weighted karate')$$)::numeric, 8) AS weighted;
SELECT count(DISTINCT community) AS communities FROM graph_leiden('karate', resolution => 3);
SELECT community, count(*) FROM graph_label_propagation('karate') GROUP BY 1 ORDER BY 1;
-- The two clubs into which it fell apart, as any labels.
SELECT round(graph_modularity('karate', $$SELECT id AS node_id, CASE WHEN id <= 8 THEN 'Mr. Hi' ELSE 'Officer' END AS community FROM generate_series(1, 40) AS id$$)::numeric, 6) AS clubs;
SELECT community, size, edges, round(density::numeric, 4) AS density, round(conductance::numeric, 4) AS conductance, central_ids, central_titles
FROM graph_communities('karate', titles => 2);
SELECT community, size FROM graph_communities('karate', partition => 'SELECT id AS node_id, id % 2 AS community FROM generate_series(1, 34) AS id');

-- Communities can be stored, and are then there for other tools.
SELECT * FROM graph_communities('karate', 'stored');
SELECT graph, communities, round(modularity::numeric, 8) AS modularity FROM graph_store_communities('karate', seed => 7);
SELECT graph, communities, community_params, round(modularity::numeric, 8) AS modularity FROM graphs WHERE graph = 'karate';
SELECT community, size FROM graph_communities('karate', 'stored');
SELECT c.community, count(*) FROM graph_community c JOIN graph g USING (graph_id) WHERE g.name = 'karate' GROUP BY 1 ORDER BY 1;
SELECT graph, communities FROM graph_store_communities('karate', 'label_propagation');
SELECT community_params FROM graphs WHERE graph = 'karate';

-- Movies have titles.
SELECT count(*) = (SELECT nodes FROM graphs WHERE graph = 'movies') AS all_titled, round(sum(score)::numeric, 6) AS whole
FROM graph_pagerank('movies') p JOIN dim_movie m ON m.movie_id = p.node_id AND m.title IS NOT DISTINCT FROM p.title;
SELECT bool_and(size >= cardinality(central_titles)) AS titles, min(community), count(*) > 1 AS several FROM graph_communities('movies');
SELECT graph, nodes < (SELECT nodes FROM graphs WHERE graph = 'movies') AS fewer_nodes, edges > 0 AS edges FROM graph_backbone('movies', 'backbone', alpha => 0.1);
SELECT count(*) AS others FROM graph_edges b WHERE graph = 'backbone' AND NOT EXISTS (
    SELECT FROM graph_edges m WHERE graph = 'movies' AND (m.from_id, m.to_id, m.weight, m.n_common) = (b.from_id, b.to_id, b.weight, b.n_common));

-- Edges that are merged or left out.
SELECT graph, nodes, edges FROM graph_project_sql('merged', 'SELECT * FROM (VALUES (1, 2, 1.0), (2, 1, 0.5), (3, 3, 9), (2::bigint, 3, 4)) AS e (from_id, to_id, weight)');
SELECT from_id, to_id, weight FROM graph_edges WHERE graph = 'merged';
-- Ids may be of any type that holds whole numbers.
SELECT nodes, edges FROM graph_project_sql('typed', $$SELECT 1.00 AS from_id, ' 2 ' AS to_id$$);
SELECT graph_drop('typed');
-- A graph without edges has no rows.
SELECT graph, nodes, edges FROM graph_project_sql('empty', 'SELECT 1 AS from_id, 2 AS to_id WHERE false', nodes => 'customers');
SELECT * FROM graph_pagerank('empty');
SELECT * FROM graph_betweenness('empty', k => 5);
SELECT * FROM graph_pagerank('empty', personalization => '{1}');
SELECT * FROM graph_leiden('empty');
SELECT * FROM graph_communities('empty');
SELECT * FROM graph_summary('empty');
SELECT graph, nodes, edges FROM graph_project_movies('nothing', min_common => 1000000);

-- Mistakes.
SELECT * FROM graph_pagerank('karat');
\echo :SQLSTATE
SELECT * FROM graph_pagerank(NULL);
SELECT * FROM graph_project_sql('karate', 'SELECT 1 AS from_id, 2 AS to_id');
\echo :SQLSTATE
SELECT * FROM graph_project_sql('', 'SELECT 1 AS from_id, 2 AS to_id');
SELECT * FROM graph_project_sql('x', 'SELECT 1 AS a, 2 AS b');
\echo :SQLSTATE
SELECT * FROM graph_project_sql('x', 'SELECT 1 AS from_id, 2.5 AS to_id');
SELECT * FROM graph_project_sql('x', 'SELECT 1 AS from_id, now() AS to_id');
SELECT * FROM graph_project_sql('x', 'SELECT 1 AS from_id, NULL::int AS to_id');
SELECT * FROM graph_project_sql('x', 'SELECT 1 AS from_id, 2 AS to_id, -0.5 AS weight');
\echo :SQLSTATE
SELECT * FROM graph_project_sql('x', $$SELECT 1 AS from_id, 2 AS to_id, 'NaN'::float8 AS weight$$);
SELECT * FROM graph_project_sql('x', 'SELECT 1 AS from_id, 2 AS to_id, NULL::float8 AS weight');
SELECT * FROM graph_project_sql('x', 'SELECT * FROM (VALUES (1, 2, 1e308::float8), (2, 1, 1e308)) AS e (from_id, to_id, weight)');
SELECT * FROM graph_project_sql('x', 'SELECT 1 AS from_id, 2 AS to_id', nodes => 'films');
SELECT * FROM graph_project_sql('x', 'SELEC 1 AS from_id');
SELECT * FROM graph_project_sql('x', 'DELETE FROM karate RETURNING one AS from_id, other AS to_id');
SELECT * FROM graph_project_sql('x', NULL);
SELECT * FROM graph_project_movies('x', 'pearsons');
\echo :SQLSTATE
SELECT * FROM graph_project_movies('x', weighting => 'idf');
SELECT * FROM graph_project_movies('x', 'llr', weighting => 'newman');
SELECT * FROM graph_project_movies('x', top_k => 0);
SELECT * FROM graph_project_movies('x', top_k => 3000000000);
SELECT * FROM graph_estimate(sample => 0.1);
SELECT * FROM graph_project_movies('x', shrinkage => -1);
SELECT * FROM graph_project_movies('x', min_common => 0);
SELECT * FROM graph_project_customers('x', sample => 2);
SELECT * FROM graph_project_model('x', 'nope');
SELECT * FROM graph_backbone('karate', 'x', alpha => 0);
SELECT * FROM graph_backbone('karate', 'karate');
SELECT * FROM graph_backbone('karate', NULL);
SELECT * FROM graph_pagerank('karate', alpha => 1.5);
SELECT * FROM graph_pagerank('karate', tol => 'NaN');
SELECT * FROM graph_pagerank('karate', max_iter => 2);
\echo :SQLSTATE
SELECT * FROM graph_pagerank('karate', personalization => '{1,99}');
SELECT * FROM graph_pagerank('karate', personalization => '{1,2}', personalization_weights => '{1}');
SELECT * FROM graph_pagerank('karate', personalization => '{1}', personalization_weights => '{-1}');
SELECT * FROM graph_pagerank('karate', personalization => '{1,NULL}');
SELECT * FROM graph_pagerank('karate', personalization => '{}');
SELECT * FROM graph_eigenvector('karate', max_iter => 1);
SELECT * FROM graph_eigenvector('karate', tol => 0);
SELECT * FROM graph_betweenness('karate', k => 35);
SELECT * FROM graph_betweenness('karate', k => 0);
-- One source tells nothing of the error.
SELECT count(*) AS unknown FROM graph_betweenness('karate', k => 1) WHERE standard_error IS NULL;
SELECT * FROM graph_leiden('karate', resolution => -1);
SELECT * FROM graph_communities('karate', 'infomap');
SELECT * FROM graph_communities('karate', titles => -1);
SELECT * FROM graph_communities('karate', resolution => 'NaN');
SELECT * FROM graph_store_communities('karate', 'stored');
SELECT graph_modularity('karate', NULL);
SELECT graph_modularity('karate', 'SELECT id AS node_id, 1 AS community FROM generate_series(1, 34) AS id', resolution => 'NaN');
SELECT graph_modularity('karate', 'SELECT 1 AS node_id, 1 AS community');
SELECT graph_modularity('karate', 'SELECT 1 AS node_id, 1 AS community FROM generate_series(1, 2)');
SELECT graph_modularity('karate', 'SELECT id AS node_id, NULL::int AS community FROM generate_series(1, 34) AS id');
SELECT graph_modularity('karate', 'SELECT id FROM generate_series(1, 34) AS id');
SELECT graph_drop('karat');
SET netflix_rec.max_memory = '1MB';
SELECT * FROM graph_project_movies('x');
\echo :SQLSTATE
SELECT * FROM graph_pagerank('movies');
RESET netflix_rec.max_memory;
BEGIN READ ONLY;
SELECT * FROM graph_project_movies('x');
ROLLBACK;
BEGIN READ ONLY;
SELECT round(graph_modularity('karate', 'SELECT id AS node_id, 1 AS community FROM generate_series(1, 34) AS id')::numeric, 6) AS one_community;
SELECT count(*) AS communities FROM graph_communities('karate');
ROLLBACK;

-- In a transaction block, a rollback takes a graph back.
BEGIN;
SELECT graph_drop('merged');
SELECT nodes, edges FROM graph_project_sql('merged', 'SELECT 1 AS from_id, 2 AS to_id');
ROLLBACK;
SELECT nodes, edges FROM graphs WHERE graph = 'merged';

-- A graph that is dropped leaves nothing.
SELECT graph_drop('karate');
SELECT count(*) AS edges FROM graph_edge WHERE graph_id NOT IN (SELECT graph_id FROM graph);
SELECT count(*) AS communities FROM graph_community;
DROP TABLE karate;
DROP EXTENSION netflix_rec;
