#!/usr/bin/env bash
# Tests recommendations while models are trained, deployed, rolled back and dropped. Each list must be complete and from one
# version. The only error may be that a model does not exist, after all of its versions were dropped.
#
# usage: serve.sh DIR [SECONDS [SEED]]
#
# DIR is the folder of a running cluster of scripts/cluster.sh that has the extension. Needs PG_CONFIG. For 15 seconds by default,
# eight sessions ask for recommendations and one changes models.
set -euo pipefail
# cluster.sh unsets the settings of the caller's shell for other servers.
. "$(dirname "$0")/../../scripts/cluster.sh"
export LC_ALL=C
dir=$1 seconds=${2:-15} seed=${3:-$RANDOM}
RANDOM=$seed
bin=$dir/pg$("$PG_CONFIG" --bindir)
export PGHOST=$(socket_dir "$dir") PGPORT=$socket_port PGUSER=postgres PGDATABASE=faults
export PGOPTIONS="-c client_min_messages=warning"
ask() { psql -X -q -At -v ON_ERROR_STOP=1 -c "$1"; }
wrong() { printf 'FAILED, seed %s: %s\n' "$seed" "$*" >&2; exit 1; }

main() {
    printf 'seed %s\n' "$seed"
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    PGDATABASE=postgres ask "DROP DATABASE IF EXISTS faults"
    PGDATABASE=postgres ask "CREATE DATABASE faults"
    make_database
    hammer &
    local readers=$! changes=0
    while kill -0 "$readers" 2>/dev/null; do
        change "$((RANDOM % 6))"
        changes=$((changes + 1))
    done
    local status=0
    wait "$readers" || status=$?
    if [ $status -ne 0 ] || grep -qi 'error\|aborted' "$work/hot.log" "$work/cold.log"; then
        cat "$work"/*.log >&2
        wrong "a session got an error that is not documented"
    fi
    [ "$(ask "SELECT count(*) FROM heard h WHERE NOT EXISTS (SELECT FROM lists l WHERE (l.model, l.customer_id, l.movies) = (h.model, h.customer_id, h.movies))")" = 0 ] ||
        wrong "a list is not from one version"
    local heard versions
    heard=$(ask "SELECT count(*) FROM heard")
    versions=$(ask "SELECT count(DISTINCT movies) FROM heard WHERE customer_id = (SELECT min(customer_id) FROM heard)")
    # With fewer of them, the test would prove nothing.
    [ "$heard" -ge 1000 ] && [ "$versions" -ge 3 ] && [ "$changes" -ge 10 ] || wrong "only $heard lists of $versions versions and $changes changes"
    [ "$(ask "SELECT count(*) FROM refused")" -ge 1 ] || wrong "no session asked while the model was dropped"
    printf '%s lists, each from one of %s versions; %s changes; %s calls without a model\n' "$heard" \
        "$(ask "SELECT count(DISTINCT (model, movies)) FROM lists WHERE customer_id = 1")" "$changes" "$(ask "SELECT count(*) FROM refused")"
}

# Loads generated ratings. The table lists holds the lists of each version when it was deployed, heard those that sessions got, and
# refused the calls without a model.
make_database() {
    psql -X -q -v ON_ERROR_STOP=1 >/dev/null <<'SQL'
CREATE EXTENSION netflix_rec;
SELECT FROM ratings_load($$
    SELECT c AS customer_id, m AS movie_id, 1 + (c * 7 + m * 13 + c * m) % 5 AS rating, DATE '2005-01-01' + m AS rated_on
    FROM generate_series(1, 200) c, generate_series(1, 300) m WHERE (c * 31 + m * 17) % 3 = 0
$$);
CREATE UNLOGGED TABLE lists (model text, customer_id int, movies int[]);
CREATE UNLOGGED TABLE heard (model text, customer_id int, movies int[]);
CREATE UNLOGGED TABLE refused (at timestamptz);
CREATE FUNCTION ask_cold(customer int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO heard SELECT 'cold', customer, array_agg(movie_id ORDER BY rank) FROM recommend(customer, 10, 'cold');
EXCEPTION WHEN undefined_object OR object_not_in_prerequisite_state THEN
    INSERT INTO refused VALUES (clock_timestamp());
END $$;
SQL
    train hot
    train cold
}

hammer() {
    echo '\set customer random(1, 200)
INSERT INTO heard SELECT '"'hot'"', :customer, array_agg(movie_id ORDER BY rank) FROM recommend(:customer, 10, '"'hot'"');' >"$work/hot.sql"
    echo '\set customer random(1, 200)
SELECT ask_cold(:customer);' >"$work/cold.sql"
    local hot
    "$bin/pgbench" -n -M prepared -c 5 -T "$seconds" -f "$work/hot.sql" >"$work/hot.log" 2>&1 &
    hot=$!
    "$bin/pgbench" -n -M prepared -c 3 -T "$seconds" -f "$work/cold.sql" >"$work/cold.log" 2>&1
    wait "$hot"
}

# Trains a version, deploys it, and stores its lists, all in one transaction: before any other session can see the version.
train() {
    psql -X -q -v ON_ERROR_STOP=1 >/dev/null <<SQL
BEGIN;
SELECT FROM train_svd('$1', factors => 3, iterations => 2, seed => $RANDOM, deploy => true);
INSERT INTO lists SELECT '$1', c, array_agg(movie_id ORDER BY rank) FROM generate_series(1, 200) c, LATERAL recommend(c, 10, '$1') GROUP BY c;
COMMIT;
SQL
}

change() {
    case $1 in
        0 | 1) train hot ;;
        2) ask "SELECT FROM (SELECT version FROM models WHERE model = 'hot' ORDER BY random() LIMIT 1) v, LATERAL deploy_model('hot', version)" ;;
        3) # There may be no earlier deployment.
            ask "SELECT FROM rollback_model('hot')" 2>"$work/rollback" || grep -q 'no earlier deployment to go back to' "$work/rollback" || { cat "$work/rollback" >&2; wrong "a rollback failed"; } ;;
        4) ask "SELECT FROM (SELECT version FROM models WHERE model = 'hot' AND state <> 'deployed' ORDER BY version LIMIT 1) v, LATERAL drop_model('hot', version)" ;;
        5)
            ask "SELECT FROM drop_model('cold', force => true)"
            sleep 0.05
            train cold ;;
    esac
}

main "$@"
