#!/usr/bin/env bash
# Measures what is looked at: the refresh of the materialised views, the queries of dashboards, each chart, and the report, with the time
# of its queries and of everything else.
#
# usage: report.sh [RATINGS ...]     default: 1000000 100480507; the last one is the size of the Prize's data set
#
#   BENCH=/var/tmp/netflix_rec_bench     The full size needs 15 GB of disk.
#
# Prints tables in Markdown. README.md has the tables that it printed last.
set -euo pipefail
cd "$(dirname "$0")/.."
. benches/warehouse.sh

sizes=("$@")
[ ${#sizes[@]} -gt 0 ] || sizes=(1000000 100480507)
settings="-c client_min_messages=warning -c netflix_rec.memory_limit=16GB -c netflix_rec.max_memory=16GB"

main() {
    start_warehouse
    printf '%s threads\n\n| ratings | statement | s |\n| ---: | --- | ---: |\n' "$(nproc)"
    local size
    for size in "${sizes[@]}"; do measure "$size"; done
}

measure() {
    local ratings=$1 chart queries
    query postgres "DROP DATABASE IF EXISTS report"
    query postgres "CREATE DATABASE report"
    query report "CREATE EXTENSION netflix_rec"
    PGOPTIONS=$settings query report "SELECT FROM netflix_load('$(sample "$ratings")')"
    PGOPTIONS=$settings query report "SELECT FROM train_als()"
    PGOPTIONS=$settings query report "SELECT FROM train_baseline()"
    PGOPTIONS=$settings query report "SELECT FROM graph_project_movies('movies')"
    PGOPTIONS=$settings query report "SELECT FROM graph_store_communities('movies')"
    query report "VACUUM ANALYZE"
    query postgres CHECKPOINT
    timed "$ratings" "SELECT bi_refresh()" "bi_refresh(), first time"
    timed "$ratings" "SELECT bi_refresh()" "bi_refresh(), again"
    query report "VACUUM ANALYZE"
    timed "$ratings" "SELECT DISTINCT title FROM bi_movies"
    timed "$ratings" "SELECT label, rating_count FROM bi_movies ORDER BY rating_count DESC LIMIT 20"
    timed "$ratings" "SELECT year, month, sum(rating_count) FROM bi_ratings_by_day GROUP BY year, month"
    timed "$ratings" "SELECT month, sum(rating_count) FROM bi_movie_months GROUP BY month"
    timed "$ratings" "SELECT title, count(*) FROM bi_recommendations GROUP BY title ORDER BY count(*) DESC LIMIT 20"
    timed "$ratings" "SELECT * FROM bi_recommendations WHERE customer_id = 42"
    timed "$ratings" "SELECT rated_on, rating, title FROM bi_ratings WHERE customer_id = 42"
    timed "$ratings" "SELECT count(*) FROM bi_customers"
    for chart in rating_distribution ratings_by_month rating_counts model_comparison training_curve error_slices factor_map network; do
        timed "$ratings" "SELECT chart_$chart()"
    done
    timed "$ratings" "SELECT netflix_report()"
    # The report says itself how long its queries took.
    queries=$(PGOPTIONS=$settings query report "SELECT (regexp_match(netflix_report(), '([0-9.]+) seconds in these queries, ([0-9.]+) in everything else'))[2]")
    echo "| $ratings | of it, outside of the queries that it names | $queries |"
}

# timed RATINGS STATEMENT [NAME]: runs the statement, and prints a row.
timed() {
    local started
    started=$(now)
    PGOPTIONS=$settings query report "$2" >/dev/null
    printf '| %s | %s | %.2f |\n' "$1" "${3:-\`${2#SELECT }\`}" "$(calculate "$(now) - $started")"
}

main
