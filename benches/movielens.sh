#!/usr/bin/env bash
# Test RMSE of every algorithm on MovieLens 100K's own five folds, trained in the database, beside what one would use otherwise.
#
# usage: movielens.sh ML100K_FOLDER        PEERS="cmfrec cmfrec_implicit surprise_svd surprise_svdpp myfm", or none
#
# The folder holds u1.base, u1.test, …, u5.test (https://grouplens.org/datasets/movielens/100k). Each fold's test ratings are
# the probe of a database of its own. Parameters that are not the defaults were chosen by RMSE on a fifth held out of u1.base,
# the mean of four such fifths; then they are the same for all folds. u1.base holds the test ratings of the other four folds: only
# the column u1 is of ratings that no parameter was chosen by. The peers run at the defaults of their documentation.
set -euo pipefail
cd "$(dirname "$0")/.."
[ -f "${1:-}/u1.base" ] || { sed -n '2,9s/^# \{0,1\}//p' "$0" >&2; exit 2; }
movielens=$(cd "$1" && pwd)
peers=${PEERS-cmfrec cmfrec_implicit surprise_svd surprise_svdpp myfm}
. benches/warehouse.sh

# name|algorithm|parameters
trainings='mean|baseline|{"kind": "mean"}
biases|baseline|{}
truncated SVD|truncated_svd|{"factors": 10}
SVD, defaults|svd|{}
ALS, defaults|als|{}
ALS|als|{"factors": 10, "iterations": 30, "regularization": 0.063, "bias_regularization": 0.021, "prior_count": 100}
ALS, implicit term|als|{"factors": 10, "iterations": 20, "regularization": 0.08, "bias_regularization": 0.032, "implicit_weight": 1, "implicit_regularization": 20}
SVD++, customers linked|svdpp|{"link_movies": false, "regularization": 0.09, "bias_regularization": 0.03, "link_regularization": 3}
SVD++, defaults|svdpp|{}
SVD++|svdpp|{"factors": 40, "regularization": 0.11, "bias_regularization": 0.03}
Bayesian, no links|bpmf|{"links": false}
Bayesian, defaults|bpmf|{}
Bayesian|bpmf|{"factors": 10, "burn_in": 30, "samples": 200}'

main() {
    start_warehouse
    printf '%s\n\n' "MovieLens 100K"
    local fold
    for fold in 1 2 3 4 5; do load_fold "$fold"; done
    printf '| model | parameters | u1 | u2 | u3 | u4 | u5 | mean | s, all five |\n| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n'
    local name algorithm params
    while IFS='|' read -r name algorithm params; do
        for fold in 1 2 3 4 5; do
            query "fold$fold" "SELECT probe_rmse, extract(epoch FROM elapsed)
                               FROM train('$algorithm', '$params', deploy => false)"
        done | awk -F '|' -v name="$name" -v params="$algorithm \`$params\`" '
            { rmse = rmse sprintf(" %.4f |", $1); sum += $1; seconds += $2 }
            END { printf "| %s | %s |%s **%.4f** | %.1f |\n", name, params, rmse, sum / NR, seconds }'
    done <<<"$trainings"
    for fold in 1 2 3 4 5; do query postgres "DROP DATABASE fold$fold"; done
    [ -n "$peers" ] || return 0
    install_peers
    local peer
    # What they say on the way is for when they fail.
    for peer in $peers; do
        "$dir/movielens/bin/python3" benches/movielens_peers.py "$movielens" "$peer" 2>"$dir/movielens.log" ||
            { tail -n 20 "$dir/movielens.log" >&2; exit 1; }
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

install_peers() {
    [ ! -x "$dir/movielens/bin/python3" ] || return 0
    say "installing peers"
    python3 -m venv "$dir/movielens"
    "$dir/movielens/bin/pip" install --quiet "cmfrec==3.5.1.post14" "scikit-surprise==1.1.5" "myfm==0.4.0" pandas scipy threadpoolctl \
        "setuptools<80" >"$dir/movielens.log" 2>&1 || { tail -n 20 "$dir/movielens.log" >&2; exit 1; }
}

main
