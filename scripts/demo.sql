\pset pager off
CREATE EXTENSION IF NOT EXISTS netflix_rec;
SELECT * FROM netflix_load(:'data');
SELECT * FROM train_als();
\set QUIET 1
\set ECHO none
SELECT EXISTS (SELECT FROM fact_ratings WHERE is_probe) AS has_probe \gset
\set ECHO queries
\if :has_probe
SELECT * FROM evaluate();
\else
\echo 'There is no probe.txt to judge by. The last statements make a test set of their own.'
\endif
\set ECHO none
SELECT customer_id AS customer FROM dim_customer WHERE rating_count > 0
ORDER BY abs(rating_count - 100) + 100 * abs(rating_mean - 3.5), customer_id LIMIT 1 \gset
\set ECHO queries
SELECT * FROM recommend(:customer, 10);
\set ECHO none
SELECT NOT EXISTS (SELECT FROM rating_split WHERE name = 'demo') AS lacks_split \gset
\set ECHO queries
\if :has_probe
SELECT model, probe_rmse FROM train_baseline();
SELECT model, n, rmse, difference, difference_low, difference_high, p_value FROM compare_models(ARRAY['als', 'baseline']);
\else
\if :lacks_split
SELECT * FROM split_ratings('demo');
\endif
SELECT model, test_rmse FROM train_als('als on demo', split => 'demo', deploy => true);
SELECT model, test_rmse FROM train_baseline('baseline on demo', split => 'demo', deploy => true);
SELECT model, n, rmse, difference, difference_low, difference_high, p_value
FROM compare_models(ARRAY['als on demo', 'baseline on demo'], split => 'demo');
\endif
\set ECHO none
SELECT NOT EXISTS (SELECT FROM graph WHERE name = 'demo') AS lacks_graph \gset
\set ECHO queries
\if :lacks_graph
SELECT * FROM graph_project_movies('demo', min_common => 100);
\endif
SELECT communities, modularity FROM graph_store_communities('demo');
SELECT view, rows FROM bi_refresh();
SELECT community, size, density, conductance, central_titles[1] AS most_central FROM graph_communities('demo') ORDER BY size DESC LIMIT 5;
\echo 'These movies are one community:'
SELECT unnest(central_titles) AS title FROM graph_communities('demo', titles => 12) WHERE community = 1;
