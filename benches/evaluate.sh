#!/usr/bin/env bash
# Measures judging: a search over a grid, beside the loops over a library that people write otherwise; `evaluate` and
# `evaluate_ranking` on the probe; and the delay with which they stop.
#
# usage: evaluate.sh [RATINGS ...]     default: 100000 1000000 10000000 100480507; the last one is the size of the Prize's data set
#
#   PEERS="surprise_svd cmfrec_als", or none     PEER_SECONDS=900 for each peer, at most     BENCH=/var/tmp/netflix_rec_bench
#
# The grid has 12 settings of ALS with 20 factors and three folds, up to ten million ratings. The peers have grids of as many settings
# and the same folds, with the ratings in memory. The full size needs 25 GB of disk. Prints tables in Markdown. README.md has the tables
# that it printed last.
set -euo pipefail
cd "$(dirname "$0")/.."
. benches/warehouse.sh

peers=${PEERS-surprise_svd cmfrec_als}
peer_seconds=${PEER_SECONDS:-900}
sizes=("$@")
[ ${#sizes[@]} -gt 0 ] || sizes=(100000 1000000 10000000 100480507)
settings="-c client_min_messages=warning -c netflix_rec.memory_limit=16GB -c netflix_rec.max_memory=16GB"
grid='{"factors": 20, "regularization": [0.02, 0.03, 0.045, 0.06], "prior_count": [60, 120, 240]}'

main() {
    start_warehouse
    printf '%s threads\n\n' "$(nproc)"
    : >"$dir/cancels.md"
    : >"$dir/judged.md"
    echo "| ratings | grid of 12 settings, 3 folds | s | lowest RMSE |"
    echo "| ---: | --- | ---: | ---: |"
    local size
    for size in "${sizes[@]}"; do measure "$size"; done
    echo
    echo "| ratings | statement | s | result |"
    echo "| ---: | --- | ---: | --- |"
    cat "$dir/judged.md"
    echo
    cancels_table
}

measure() {
    local ratings=$1 peer
    query postgres "DROP DATABASE IF EXISTS judged"
    query postgres "CREATE DATABASE judged"
    query judged "CREATE EXTENSION netflix_rec"
    PGOPTIONS=$settings query judged "SELECT FROM netflix_load('$(sample "$ratings")')"
    query postgres CHECKPOINT
    sync
    if [ "$ratings" -le 10000000 ]; then
        timed "SELECT min(score) FROM grid_search('als', '$grid')"
        printf '| %s | `grid_search` of ALS | %s | %.4f |\n' "$ratings" "$seconds" "$answer"
        [ -z "$peers" ] || dump_folds
        for peer in $peers; do
            local status=0
            timeout "$peer_seconds" "$dir/python/bin/python3" benches/evaluate_peers.py "$dir/folds.txt" "$ratings" "$peer" 2>"$dir/python.log" ||
                status=$?
            case $status in
                0) ;;
                124) printf '| %s | %s | more than %s | |\n' "$ratings" "$peer" "$peer_seconds" ;;
                *) tail -n 20 "$dir/python.log" >&2; exit 1 ;;
            esac
        done
    fi
    PGOPTIONS=$settings query judged "SELECT FROM train_als()"
    timed "SELECT 'RMSE ' || round(rmse::numeric, 4) FROM evaluate()"
    judged "$ratings" evaluate
    timed "SELECT customers || ' customers, NDCG ' || round(ndcg::numeric, 5) FROM evaluate_ranking() LIMIT 1"
    judged "$ratings" evaluate_ranking
    PGOPTIONS=$settings query judged "SELECT FROM train_baseline()"
    timed "SELECT 'difference ' || round(max(difference)::numeric, 4) || ', p ' || round(max(p_value)::numeric, 3) FROM compare_models(ARRAY['als', 'baseline'])"
    judged "$ratings" compare_models
    cancels judged "$ratings" "SELECT FROM evaluate_ranking()" 8
    cancels judged "$ratings" "SELECT FROM cross_validate('als', '{\"factors\": 20, \"iterations\": 2}', folds => 2)" 8
    cancels judged "$ratings" "SELECT FROM grid_search('als', '{\"factors\": [10, 20], \"iterations\": 2}', folds => 2)" 8
    query postgres "DROP DATABASE judged"
}

# timed QUERY: runs it twice, and sets `seconds` to the shorter time and `answer` to what it returned.
timed() {
    local started each
    seconds=
    for each in 1 2; do
        started=$(now)
        answer=$(PGOPTIONS=$settings query judged "$1")
        each=$(printf '%.2f' "$(calculate "$(now) - $started")")
        [ -n "$seconds" ] && awk "BEGIN { exit !($seconds < $each) }" || seconds=$each
    done
}

judged() { printf '| %s | `%s` | %s | %s |\n' "$1" "$2" "$seconds" "$answer" >>"$dir/judged.md"; }

# Writes customer, movie, rating and fold of each rating: the folds of the searches.
dump_folds() {
    install_peers
    PGOPTIONS=$settings query judged "SELECT FROM split_ratings('thirds', 'folds', folds => 3)"
    : >"$dir/folds.txt"
    local fold
    for fold in 1 2 3; do
        query judged "\\copy (SELECT customer_key - 1, movie_key - 1, rating, $fold FROM test_set('thirds:$fold') JOIN dim_customer USING (customer_id) JOIN dim_movie USING (movie_id)) TO '$dir/fold.txt' (DELIMITER ' ')"
        cat "$dir/fold.txt" >>"$dir/folds.txt"
        rm "$dir/fold.txt"
    done
}

main
