-- Charts as SVG, and the report as one HTML page.
SET client_min_messages = warning;
CREATE EXTENSION netflix_rec;

-- A chart is one <svg> element with a size, a title, a description, and texts that can be selected.
CREATE FUNCTION about(svg text) RETURNS TABLE (size text, title text, description text) LANGUAGE sql AS $$
    SELECT (xpath('/s:svg/@width', x, n))[1]::text || ' x ' || (xpath('/s:svg/@height', x, n))[1]::text,
           (xpath('/s:svg/s:title/text()', x, n))[1]::text, (xpath('/s:svg/s:desc/text()', x, n))[1]::text
    FROM (SELECT svg::xml AS x, ARRAY[ARRAY['s', 'http://www.w3.org/2000/svg']] AS n) AS parsed
$$;
CREATE FUNCTION texts(svg text) RETURNS text[] LANGUAGE sql AS $$
    SELECT xpath('//s:text/text()', svg::xml, ARRAY[ARRAY['s', 'http://www.w3.org/2000/svg']])::text[]
$$;

-- Without data, a chart says so, and which statement helps.
SELECT * FROM about(chart_rating_distribution());
SELECT texts(chart_rating_distribution());
SELECT name, description FROM (VALUES
    (1, 'chart_ratings_by_month', chart_ratings_by_month()),
    (2, 'chart_mean_rating_by_month', chart_mean_rating_by_month()),
    (3, 'chart_ratings_by_weekday', chart_ratings_by_weekday()),
    (4, 'chart_rating_counts', chart_rating_counts()),
    (5, 'chart_model_comparison', chart_model_comparison()),
    (6, 'chart_training_curve', chart_training_curve()),
    (7, 'chart_error_slices', chart_error_slices()),
    (8, 'chart_factor_map', chart_factor_map()),
    (9, 'chart_search', chart_search()),
    (10, 'chart_network', chart_network())
) AS c (place, name, svg), about(svg) ORDER BY place;
SELECT netflix_report() LIKE '%There are no ratings yet. To load some: <code>SELECT * FROM netflix\_load(''/data'');</code>%' AS says_what_to_do;

-- Ratings: six kinds of titles that would break a careless chart, and a movie without a title and a year.
CREATE TABLE ratings AS
SELECT c AS customer_id, m AS movie_id, 1 + (c * m + c / 3) % 5 AS rating, date '2004-01-05' + (c * 7 + m) % 300 AS rated_on
FROM generate_series(1, 60) AS c, generate_series(1, 12) AS m WHERE (c + m) % 4 > 0;
SELECT ratings_loaded FROM ratings_load('SELECT *, customer_id % 7 = 0 AND movie_id % 5 = 0 AS is_probe FROM ratings');
UPDATE dim_movie SET title = CASE movie_id
    WHEN 1 THEN '<script>alert(1)</script>'
    WHEN 2 THEN 'A & B "C" ''D'' </svg></title>'
    WHEN 3 THEN repeat('Wide ', 40)
    WHEN 4 THEN E'\u05e9\u05dc\u05d5\u05dd \u05e2\u05d5\u05dc\u05dd'
    WHEN 5 THEN E'\U0001F600 \U0001F3AC \U0001F468\u200D\U0001F469\u200D\U0001F467'
    WHEN 6 THEN E'$x^2$ and \\$5 {{7*7}} %s \u202Ereversed\u202C\x01 ]]>'
    WHEN 8 THEN repeat('W', 200)
    ELSE CASE WHEN movie_id > 8 THEN 'Movie ' || movie_id END END,
    release_year = CASE WHEN movie_id <> 7 THEN 1990 + movie_id END;
SELECT model, version FROM train_als(factors => 3, iterations => 3);
SELECT model, version FROM train_baseline();
SELECT graph FROM graph_project_movies('movies', 'count', min_common => 1, top_k => 4);

SELECT * FROM about(chart_rating_distribution());
SELECT texts(chart_rating_distribution(width => 400, height => 300));
SELECT * FROM about(chart_ratings_by_month());
SELECT * FROM about(chart_mean_rating_by_month());
SELECT * FROM about(chart_ratings_by_weekday());
SELECT * FROM about(chart_rating_counts());

-- Models. The numbers are rounded, because their last digits depend on the processor.
SELECT size, title, regexp_replace(description, '\d\.\d+', 'N', 'g') AS description FROM about(chart_model_comparison());
SELECT description ~ '^The best first: als@1 \d\.\d{4}$' AS only_als FROM about(chart_model_comparison(models => ARRAY['als']));
SELECT title, regexp_replace(description, '\d\.\d+', 'N', 'g') AS description FROM about(chart_training_curve('als'));
SELECT title, description FROM about(chart_training_curve('als', 1));
SELECT title, regexp_replace(description, '\d\.\d+', 'N', 'g') AS description FROM about(chart_error_slices('als', 'rating'));
SELECT title, description FROM about(chart_factor_map('als'));
SELECT description FROM about(chart_factor_map('baseline'));

-- A search with one parameter is a line, with two a heat map, with three parallel axes.
SELECT count(*) FROM grid_search('als', '{"regularization": [0.02, 0.05, 0.2], "factors": 2, "iterations": 2}', folds => 2);
SELECT title, split_part(description, ';', 1) AS trials FROM about(chart_search());
SELECT count(*) FROM grid_search('als', '{"regularization": [0.02, 0.05], "factors": [1, 2], "iterations": 2}', folds => 2);
SELECT title, split_part(description, ';', 1) AS trials FROM about(chart_search());
SELECT count(*) FROM grid_search('als', '{"regularization": [0.02, 0.05], "factors": [1, 2], "iterations": [1, 2]}', folds => 2);
SELECT title, split_part(description, ';', 1) AS trials FROM about(chart_search());
SELECT title FROM about(chart_search(1));

-- Trials that were dropped after a sample cannot be compared with those that went on. The chart says how many there were. (The sample of
-- so few customers would be all of them, so the rows are made as halving would make them.)
SELECT count(*) FROM grid_search('als', '{"factors": [1, 2, 3, 4], "iterations": 1}', folds => 2);
UPDATE search_trial SET stage = 1 + (trial_no = 2)::int, state = CASE trial_no WHEN 2 THEN 'judged' WHEN 4 THEN 'failed' ELSE 'dropped' END
WHERE search_id = (SELECT max(search_id) FROM search);
SELECT regexp_replace(description, '\d\.\d+', 'N', 'g') AS description
FROM about(chart_search());

-- Whether a model was trained on the ratings that judge it: not, perhaps, or yes. The last are not called the best.
SELECT model FROM train_als('all', factors => 2, iterations => 2, train_on => 'all', deploy => true);
SELECT regexp_replace(description, '\d\.\d+', 'N', 'g') AS description FROM about(chart_model_comparison());
SELECT test_ratings > 0 AS has_test_set FROM split_ratings('third', fraction => 0.3);
SELECT model FROM train_als('on third', factors => 2, iterations => 2, split => 'third', deploy => true);
SELECT action FROM add_rating(1, 3, 5, '2004-05-01');
SELECT regexp_replace(description, '\d\.\d+', 'N', 'g') AS description FROM about(chart_model_comparison('third', ARRAY['on third']));
SELECT version FROM drop_model('on third', force => true);
SELECT sentence[1] AS best FROM regexp_matches(netflix_report(quality => false), '(Of the deployed models[^<]*)<') AS sentence;
SELECT version FROM drop_model('all', force => true);
SELECT version FROM train_als(factors => 3, iterations => 3, deploy => true);

-- The network of a graph.
SELECT * FROM about(chart_network('movies'));
SELECT description FROM about(chart_network('movies', top_n => 5, color_by => 'none', size_by => 'degree'));
SELECT description FROM about(chart_network('movies', top_n => 5, size_by => 'strength'));
SELECT description FROM about(chart_network('movies', top_n => 5, size_by => 'betweenness'));
SELECT graph FROM graph_project_sql('mine', 'SELECT 1 AS from_id, 2 AS to_id UNION ALL SELECT 2, 3');
SELECT title, description FROM about(chart_network('mine'));
SELECT texts(chart_network('mine')) @> ARRAY['1', '2', '3'] AS has_ids;

-- Titles are texts and nothing else. Only characters that XML forbids, and those that turn around what follows, are missing.
SELECT label FROM unnest(texts(chart_network('movies', width => 1400))) AS label WHERE label ~ 'script|&|Wide|x\^2|W{5}' ORDER BY label COLLATE "C";
SELECT bool_or(label = E'\u05e9\u05dc\u05d5\u05dd \u05e2\u05d5\u05dc\u05dd') AS hebrew, bool_or(label LIKE E'\U0001F600 %') AS emoji,
       bool_or(label = 'movie 7') AS without_title
FROM unnest(texts(chart_network('movies', width => 1400))) AS label;

-- The output is ASCII, whatever the titles, so any client can read it and any file can hold it.
SET client_encoding = 'LATIN1';
SELECT length(chart_network('movies')) = octet_length(chart_network('movies')) AS is_ascii;
RESET client_encoding;

-- The same data, the same bytes.
SELECT chart_network('movies') = chart_network('movies') AS same;

-- Themes: by the reader's system, or fixed.
SELECT theme, svg LIKE '%prefers-color-scheme:dark%' AS adapts, svg LIKE '%fill="#16181d"%' AS is_dark
FROM (VALUES ('auto'), ('light'), ('dark')) AS t (theme), chart_rating_distribution(theme => theme) AS svg;

-- The report.
CREATE TABLE report AS SELECT netflix_report() AS html;
SELECT section[1] AS section FROM report, regexp_matches(html, '<h2[^>]*>([^<]*)</h2>', 'g') AS section;
SELECT html LIKE '<!DOCTYPE html>%' AS is_html, html !~ '<script|https?://(?!www\.w3\.org/2000/svg)|src=|url\(' AS is_self_contained,
       html LIKE '%&lt;script&gt;alert(1)&lt;/script&gt;%' AS escaped, html LIKE '%<bdi>%' AS turned,
       length(html) = octet_length(html) AS is_ascii
FROM report;
SELECT count(*) > 15 AS names_its_queries FROM report, regexp_matches(html, '<td class="long"><code>', 'g');

-- Sections for what is not there name the statement that makes it.
SELECT * FROM graph_drop('movies');
SELECT * FROM graph_drop('mine');
SELECT count(*) FROM drop_model('als', force => true);
SELECT count(*) FROM drop_model('baseline', force => true);
DELETE FROM search;
SELECT missing[1] AS missing FROM netflix_report(quality => false) AS html, regexp_matches(html, '<p class="missing">(.*?)</p>', 'g') AS missing;

-- Without a probe, models can be judged by a split.
UPDATE fact_ratings SET is_probe = false;
SELECT model FROM train_als(factors => 2, iterations => 2);
SELECT missing[1] AS missing FROM netflix_report(quality => false) AS html, regexp_matches(html, '<p class="missing">(There is no probe.*?)</p>', 'g') AS missing;
SELECT test_ratings > 0 AS has_test_set FROM split_ratings('test');
SELECT model FROM train_als('als on test', factors => 2, iterations => 2, split => 'test', deploy => true);
SELECT html LIKE '%RMSE of the deployed models on split test%' AS is_judged FROM netflix_report('test', quality => false) AS html;

-- Mistakes.
SELECT chart_rating_distribution(width => 100);
SELECT chart_rating_distribution(height => 100000);
SELECT chart_rating_distribution(theme => 'blue');
SELECT chart_training_curve('svd');
SELECT chart_training_curve('als', 9);
SELECT chart_error_slices('als on test', by => 'genre', split => 'test');
SELECT chart_model_comparison('nowhere');
SELECT chart_search(99);
SELECT chart_network('nothing');
SELECT chart_network(top_n => 1);
SELECT chart_network(color_by => 'genre');
SELECT chart_network(size_by => 'fame');
SELECT netflix_report('nowhere');
SELECT length(netflix_report(graph => 'nothing'));
SELECT length(netflix_report(search => 99, quality => false));

-- A role that may not read the ratings.
CREATE ROLE regress_nobody;
GRANT USAGE ON SCHEMA public TO regress_nobody;
SET ROLE regress_nobody;
SELECT chart_rating_distribution();
SELECT netflix_report();
RESET ROLE;
DROP OWNED BY regress_nobody;
DROP ROLE regress_nobody;
DROP EXTENSION netflix_rec;
