#!/usr/bin/env bash
# Tests that a warehouse which is dumped and restored elsewhere has the same rows, and can go on from there: by pg_restore alone; in
# parallel, with the keys dropped during the restore; from a dump of one schema; in the middle of a load.
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
    -c "SELECT FROM warehouse.train_als(factors => 3, iterations => 2)"
before=$(contents dump_from)
[ "$(grep -vE '^(load_unit|load_inserted|restore_constraint)' <<<"$before" | grep -c '|0|')" -eq 0 ] || { echo "a table without rows proves nothing: $before" >&2; exit 1; }

pg_dump -Fc -d dump_from -f "$folder/dump"
pg_restore --exit-on-error -d dump_to "$folder/dump"
same "the tables" "$before" "$(contents dump_to)"

# Keys and foreign keys, as SQL and as they are now.
constraints() {
    run "$1" -c "SELECT conrelid::regclass, conname, convalidated, pg_get_constraintdef(oid) FROM pg_constraint
                 WHERE connamespace = 'warehouse'::regnamespace AND contype IN ('p', 'u', 'f') ORDER BY 1, 2" \
        -c "SELECT count(*) FROM pg_index WHERE NOT (indisvalid AND indisready)"
}

# fill DATABASE DUMP [OPTION ...]: restores in parallel, with keys and foreign keys put away.
fill() {
    run postgres -c "DROP DATABASE IF EXISTS $1" -c "CREATE DATABASE $1"
    run "$1" -c "CREATE SCHEMA warehouse" -c "CREATE EXTENSION netflix_rec SCHEMA warehouse" -c "SELECT warehouse.netflix_restore_begin()"
    pg_restore --exit-on-error -j 2 -d "$1" "${@:3}" "$2"
    run "$1" -c "SELECT warehouse.netflix_restore_end()"
    same "the tables of $1" "$before" "$(contents "$1")"
    same "the constraints of $1" "$(constraints dump_from)" "$(constraints "$1")"
}
# (The schema is there already.)
without_schema() { pg_restore -l "$1" | grep -v ' SCHEMA ' >"$1.list"; }
pg_dump -Fd -j 2 -d dump_from -f "$folder/parts"
without_schema "$folder/parts"
fill dump_in_parallel "$folder/parts" -L "$folder/parts.list"
# A dump of the schema alone has the rows and no CREATE EXTENSION.
pg_dump -Fc -n warehouse -d dump_from -f "$folder/schema"
without_schema "$folder/schema"
fill dump_of_schema "$folder/schema" -L "$folder/schema.list"

# All go on alike: old files add nothing, new ones get the keys that follow, the next model the next version.
for database in dump_from dump_to dump_in_parallel dump_of_schema; do
    run "$database" -c "SELECT ratings_loaded FROM warehouse.netflix_load('$fixtures/tiny')" \
        -c "SELECT ratings_loaded, run_id FROM warehouse.netflix_load('$fixtures/more')" \
        -c "SELECT version FROM warehouse.train_als(factors => 3, iterations => 2)" \
        -c "SELECT model_id, version FROM warehouse.model ORDER BY 1" \
        -c "SELECT action, rating_key FROM warehouse.add_rating(4711, 1, 5, '2005-05-05')" \
        -c "TABLE warehouse.fact_ratings ORDER BY rating_key" \
        -c "SELECT rank, movie_id, predicted_rating FROM warehouse.recommend(42)" >"$folder/$database"
    same "what came after in $database" "$(cat "$folder/dump_from")" "$(cat "$folder/$database")"
done
same "what the old files added, the number of the load after them and the version" \
    "$(printf '0\n2|4\n2')" "$(head -n 3 "$folder/dump_to")"

# In the middle of a load: the restored warehouse has its keys, and the load goes on there, or is given up.
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
