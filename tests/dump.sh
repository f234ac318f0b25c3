#!/usr/bin/env bash
# Tests that a dumped and restored warehouse has the same rows, and that loading and training go on there: restored by pg_restore
# alone; in parallel, with the keys dropped during the restore; from a dump of one schema; and dumped while a load is unfinished.
#
# usage: dump.sh FIXTURES    with PGHOST, PGPORT and PGUSER of a server that has the extension
set -euo pipefail
fixtures=$1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
run() { psql -X -q -At -v ON_ERROR_STOP=1 -d "$1" -c "SET client_min_messages = warning" "${@:2}"; }

# Prints the name, number of rows and digest of every table.
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
    -c "SELECT FROM warehouse.split_ratings('third', 'random', fraction => 0.3)" \
    -c "SELECT FROM warehouse.train_als(factors => 3, iterations => 2, split => 'third')" \
    -c "SELECT FROM warehouse.grid_search('baseline', '{\"movie_damping\": [5, 10]}', split => 'third')" \
    -c "SELECT FROM warehouse.graph_project_movies('movies', 'count', min_common => 1)" \
    -c "SELECT FROM warehouse.graph_store_communities('movies')"
before=$(contents dump_from)
[ "$(grep -vE '^(load_unit|load_inserted|restore_constraint)' <<<"$before" | grep -c '|0|')" -eq 0 ] || { echo "a table has no rows, so the test would prove nothing: $before" >&2; exit 1; }

pg_dump -Fc -d dump_from -f "$folder/dump"
pg_restore --exit-on-error -d dump_to "$folder/dump"
same "the tables" "$before" "$(contents dump_to)"

# The definition of each key and foreign key, and the number of indexes that are not in use.
constraints() {
    run "$1" -c "SELECT conrelid::regclass, conname, convalidated, pg_get_constraintdef(oid) FROM pg_constraint
                 WHERE connamespace = 'warehouse'::regnamespace AND contype IN ('p', 'u', 'f') ORDER BY 1, 2" \
        -c "SELECT count(*) FROM pg_index WHERE NOT (indisvalid AND indisready)"
}

# fill DATABASE DUMP [OPTION ...]: restores in parallel, between netflix_restore_begin and netflix_restore_end.
fill() {
    run postgres -c "DROP DATABASE IF EXISTS $1" -c "CREATE DATABASE $1"
    run "$1" -c "CREATE SCHEMA warehouse" -c "CREATE EXTENSION netflix_rec SCHEMA warehouse" -c "SELECT warehouse.netflix_restore_begin()"
    pg_restore --exit-on-error -j 2 -d "$1" "${@:3}" "$2"
    run "$1" -c "SELECT warehouse.netflix_restore_end()"
    same "the tables of $1" "$before" "$(contents "$1")"
    same "the constraints of $1" "$(constraints dump_from)" "$(constraints "$1")"
}
# Lists what to restore, without the schema, because fill has created it.
without_schema() { pg_restore -l "$1" | grep -v ' SCHEMA ' >"$1.list"; }
pg_dump -Fd -j 2 -d dump_from -f "$folder/parts"
without_schema "$folder/parts"
fill dump_in_parallel "$folder/parts" -L "$folder/parts.list"
# A dump of the schema alone has the rows, but no CREATE EXTENSION.
pg_dump -Fc -n warehouse -d dump_from -f "$folder/schema"
without_schema "$folder/schema"
fill dump_of_schema "$folder/schema" -L "$folder/schema.list"

# Each warehouse goes on in the same way: old files add nothing, new ratings get the next keys, and a new model the next version.
for database in dump_from dump_to dump_in_parallel dump_of_schema; do
    run "$database" -c "SELECT ratings_loaded FROM warehouse.netflix_load('$fixtures/tiny')" \
        -c "SELECT ratings_loaded, run_id FROM warehouse.netflix_load('$fixtures/more')" \
        -c "SELECT version FROM warehouse.train_als(factors => 3, iterations => 2)" \
        -c "SELECT model_id, version FROM warehouse.model ORDER BY 1" \
        -c "SELECT * FROM warehouse.evaluate(split => 'third', version => 1)" \
        -c "SELECT search_id, rank, score FROM warehouse.grid_search('baseline', split => 'third')" \
        -c "TABLE warehouse.graph_edges" -c "SELECT community, size, central_ids FROM warehouse.graph_communities('movies', 'stored')" \
        -c "SELECT graph, edges FROM warehouse.graph_project_movies('other', 'jaccard', min_common => 1)" \
        -c "SELECT graph_id, name FROM warehouse.graph ORDER BY 1" \
        -c "SELECT action, rating_key FROM warehouse.add_rating(4711, 1, 5, '2005-05-05')" \
        -c "TABLE warehouse.fact_ratings ORDER BY rating_key" \
        -c "SELECT rank, movie_id, predicted_rating FROM warehouse.recommend(42)" >"$folder/$database"
    same "later ratings and models in $database" "$(cat "$folder/dump_from")" "$(cat "$folder/$database")"
done
same "ratings that the old files added, ratings and run_id of the next load, and the version" \
    "$(printf '0\n2|4\n2')" "$(head -n 3 "$folder/dump_to")"

# Dumped while a load is unfinished: the restored warehouse has its keys, and there the load can be finished or given up.
run postgres -c "DROP DATABASE IF EXISTS dump_unfinished" -c "CREATE DATABASE dump_unfinished"
run dump_unfinished -c "CREATE SCHEMA warehouse" -c "CREATE EXTENSION netflix_rec SCHEMA warehouse" \
    -c "CREATE INDEX picky ON warehouse.fact_ratings ((1 / (date_key - 20040301)))"
! run dump_unfinished -c "SELECT FROM warehouse.netflix_load('$fixtures/tiny')" 2>"$folder/error"
grep -q 'division by zero' "$folder/error" || { cat "$folder/error" >&2; exit 1; }
pg_dump -Fc -d dump_unfinished -f "$folder/unfinished"
for database in dump_goes_on dump_gives_up; do
    run postgres -c "DROP DATABASE IF EXISTS $database" -c "CREATE DATABASE $database"
    pg_restore --exit-on-error -d "$database" "$folder/unfinished"
done
same "the load that goes on" "completed|7" "$(run dump_goes_on -c "SELECT status, ratings_loaded FROM warehouse.netflix_load('$fixtures/tiny')")"
same "the load that is given up" "7" "$(run dump_gives_up -c "SELECT ratings_removed FROM warehouse.netflix_load_abandon()")"
same "what is left of it" "0" "$(run dump_gives_up -c "SELECT count(*) FROM warehouse.fact_ratings")"
