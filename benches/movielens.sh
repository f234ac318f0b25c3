#!/usr/bin/env bash
# Measures the test RMSE of every algorithm, trained in the database, and of peers, on the five folds that come with MovieLens 100K.
#
# usage: movielens.sh ML100K_FOLDER        PEERS="cmfrec cmfrec_implicit surprise_svd surprise_svdpp myfm myfm_links smurff_links", or none
#
# The folder has u1.base, u1.test, …, u5.test (https://grouplens.org/datasets/movielens/100k). Each fold has a database of its own,
# in which its test ratings are the probe. If a row has several sets of parameters, each fold holds out a fifth of its training
# ratings, and uses the set with the lowest RMSE on them. The seconds include this choice. The peers' parameters are chosen in the
# same way, and each peer is also measured with the defaults of its documentation.
set -euo pipefail
cd "$(dirname "$0")/.."
[ -f "${1:-}/u1.base" ] || { sed -n '2,9s/^# \{0,1\}//p' "$0" >&2; exit 2; }
movielens=$(cd "$1" && pwd)
peers=${PEERS-cmfrec cmfrec_implicit surprise_svd surprise_svdpp myfm myfm_links smurff_links}
. benches/warehouse.sh

# name|algorithm|parameters, or several sets of parameters with `or` between them
trainings='mean|baseline|{"kind": "mean"}
biases|baseline|{}
truncated SVD|truncated_svd|{"factors": 10}
SVD, defaults|svd|{}
ALS, defaults|als|{}
ALS|als|{"factors": 10, "iterations": 20, "regularization": 0.05} or {"factors": 10, "iterations": 20, "regularization": 0.06} or {"factors": 20, "regularization": 0.05} or {"factors": 20, "regularization": 0.06}
ALS, implicit term|als|{"factors": 10, "iterations": 20, "regularization": 0.08, "bias_regularization": 0.032, "prior_count": 60, "implicit_weight": 1, "implicit_regularization": 20} or {"factors": 10, "iterations": 20, "regularization": 0.06, "implicit_weight": 1, "implicit_regularization": 20}
SVD++, customers linked|svdpp|{"link_movies": false} or {"link_movies": false, "regularization": 0.06} or {"link_movies": false, "regularization": 0.04}
SVD++, defaults|svdpp|{}
SVD++|svdpp|{"factors": 40} or {"factors": 40, "regularization": 0.06} or {"factors": 40, "prior_count": 300, "link_regularization": 2} or {"factors": 40, "regularization": 0.04, "prior_count": 300}
Bayesian, no links|bpmf|{"links": false}
Bayesian, defaults|bpmf|{}
Bayesian|bpmf|{"factors": 10, "burn_in": 30, "samples": 200} or {"burn_in": 30, "samples": 200}'

main() {
    start_warehouse
    printf '%s\n\n' "MovieLens 100K"
    local fold
    for fold in 1 2 3 4 5; do load_fold "$fold"; done
    printf '| model | parameters | u1 | u2 | u3 | u4 | u5 | mean | s, all five |\n| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n'
    local name algorithm params
    while IFS='|' read -r name algorithm params; do
        for fold in 1 2 3 4 5; do
            local started=$EPOCHREALTIME
            choose "$fold" "$algorithm" "$params"
            query "fold$fold" "SELECT probe_rmse, $EPOCHREALTIME - $started + extract(epoch FROM elapsed)
                               FROM train('$algorithm', '$choice', deploy => false)"
        done | awk -F '|' -v name="$name" -v params="$algorithm \`$params\`" '
            { rmse = rmse sprintf(" %.4f |", $1); sum += $1; seconds += $2 }
            END { printf "| %s | %s |%s **%.4f** | %.1f |\n", name, params, rmse, sum / NR, seconds }'
    done <<<"$trainings"
    for fold in 1 2 3 4 5; do query postgres "DROP DATABASE fold$fold"; done
    [ -n "$peers" ] || return 0
    install_peers
    local peer
    # A peer's messages are shown only if it fails.
    for peer in $peers; do
        "$dir/python/bin/python3" benches/movielens_peers.py "$movielens" "$peer" 2>"$dir/python.log" ||
            { tail -n 20 "$dir/python.log" >&2; exit 1; }
    done
}

# choose FOLD ALGORITHM PARAMETERS: sets `choice` to the set with the lowest RMSE on a fifth held out of the fold's training
# ratings.
choose() {
    local rest=$3 lowest=9 version rmse
    choice=$3
    [ "${rest/\} or \{/}" != "$rest" ] || return 0
    while [ -n "$rest" ]; do
        local params=${rest%%\} or \{*}
        if [ "$params" = "$rest" ]; then rest=; else rest="{${rest#*\} or \{}" params="$params}"; fi
        version=$(query "fold$1" "SELECT version FROM train('$2', '$params', 'choice', hold_out => 0.2, deploy => false)")
        rmse=$(query "fold$1" "SELECT held_out_rmse FROM training_curve('choice', $version) ORDER BY iteration DESC LIMIT 1")
        if awk "BEGIN { exit !($rmse < $lowest) }"; then lowest=$rmse choice=$params; fi
    done
}

load_fold() {
    query postgres "CREATE DATABASE fold$1"
    query "fold$1" "CREATE EXTENSION netflix_rec"
    query "fold$1" "CREATE TABLE given (customer_id int, movie_id int, rating int, seconds bigint, is_test bool DEFAULT false)"
    query "fold$1" "\\copy given (customer_id, movie_id, rating, seconds) FROM '$movielens/u$1.test'"
    query "fold$1" "UPDATE given SET is_test = true"
    query "fold$1" "\\copy given (customer_id, movie_id, rating, seconds) FROM '$movielens/u$1.base'"
    query "fold$1" "SET client_min_messages = warning;
                    SELECT FROM ratings_load('SELECT customer_id, movie_id, rating, to_timestamp(seconds)::date AS rated_on FROM given')"
    query "fold$1" "UPDATE fact_ratings f SET is_probe = true
                    FROM given g JOIN dim_customer c USING (customer_id) JOIN dim_movie m USING (movie_id)
                    WHERE g.is_test AND f.customer_key = c.customer_key AND f.movie_key = m.movie_key"
    query "fold$1" "ALTER DATABASE fold$1 SET client_min_messages = warning"
}

main
