#!/usr/bin/env bash
# A warehouse that is dumped and restored elsewhere holds the same rows, and goes on from there.
#
# usage: dump.sh FIXTURES    with PGHOST, PGPORT and PGUSER of a server that has the extension
set -euo pipefail
fixtures=$1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
run() { psql -X -q -At -v ON_ERROR_STOP=1 -d "$1" -c "SET client_min_messages = warning" "${@:2}"; }

# Every table's name, number of rows and digest.
contents() {
    run "$1" -c "SELECT format('SELECT %L, count(*), md5(string_agg(t::text, %L ORDER BY t::text)) FROM %s AS t;',
                               relname, E'\\n', oid::regclass)
                 FROM pg_class WHERE relnamespace = 'warehouse'::regnamespace AND relkind = 'r' ORDER BY relname" |
        run "$1" -f -
}

same() { # same WHAT FIRST SECOND
    [ "$2" = "$3" ] || { printf '%s differ:\n%s\n--\n%s\n' "$1" "$2" "$3" >&2; exit 1; }
}

for database in dump_from dump_to; do
    run postgres -c "DROP DATABASE IF EXISTS $database" -c "CREATE DATABASE $database"
done
run dump_from -c "CREATE SCHEMA warehouse" -c "CREATE EXTENSION netflix_rec SCHEMA warehouse" \
    -c "SELECT FROM warehouse.netflix_load('$fixtures/tiny')" -c "SELECT FROM warehouse.netflix_load('$fixtures/mistakes')" \
    -c "SELECT FROM warehouse.train_als(factors => 3, iterations => 2)"
before=$(contents dump_from)
[ "$(grep -v ^load_unit <<<"$before" | grep -c '|0|')" -eq 0 ] || { echo "a table without rows proves nothing: $before" >&2; exit 1; }

pg_dump -Fc -d dump_from -f "$folder/dump"
pg_restore --exit-on-error -d dump_to "$folder/dump"
same "the tables" "$before" "$(contents dump_to)"

# Both go on alike: old files add nothing, new ones get the keys that follow, the next model the next version.
for database in dump_from dump_to; do
    run "$database" -c "SELECT ratings_loaded FROM warehouse.netflix_load('$fixtures/tiny')" \
        -c "SELECT ratings_loaded, run_id FROM warehouse.netflix_load('$fixtures/more')" \
        -c "SELECT version FROM warehouse.train_als(factors => 3, iterations => 2)" \
        -c "SELECT model_id, version FROM warehouse.model ORDER BY 1" \
        -c "TABLE warehouse.fact_ratings ORDER BY rating_key" \
        -c "SELECT rank, movie_id, predicted_rating FROM warehouse.recommend(42)" >"$folder/$database"
done
same "what came after" "$(cat "$folder/dump_from")" "$(cat "$folder/dump_to")"
same "what the old files added, the number of the load after them and the version" \
    "$(printf '0\n2|4\n2')" "$(head -n 3 "$folder/dump_to")"
