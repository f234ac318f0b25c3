#!/usr/bin/env bash
# The demo: loads ratings, trains, evaluates and recommends, on a private PostgreSQL in .demo.
#
# usage: demo.sh [run [DATA]] | report | psql | stop
set -euo pipefail
cd "$(dirname "$0")/.."
umask 022
demo=$PWD/.demo

database() { cat "$demo/database" 2>/dev/null || echo sample; }

connect() {
    "$(dirname "$PG_CONFIG")/psql" -X -h "$(socket_dir "$demo")" -p "$socket_port" -U postgres "$@"
}

# can_server_read FOLDER: whether the server's user may read the files in this folder that a load reads.
can_server_read() {
    as_server test -r "$1" -a -x "$1" && [ -z "$(as_server find -L "$1" -maxdepth 4 \( -name training_set \
        -o -name 'mv_*' -o -name 'combined_data_*' -o -name 'movie_titles.*' -o -name probe.txt -o -name qualifying.txt \
        -o -name judging.txt \
        \) ! -readable -print -quit 2>/dev/null)" ]
}

installed_sql() {
    cat "$demo/pg$("$PG_CONFIG" --sharedir)"/extension/netflix_rec--*.sql 2>/dev/null || true
}

run() {
    local data=${1:-} database=sample
    if [ -n "$data" ]; then
        [ -d "$data" ] || { echo "demo: DATA is not a folder: $data" >&2; exit 1; }
        data=$(realpath "$data")
        # Each data set has a warehouse of its own, because an id is not the same customer in different sets.
        database=data_$(printf %s "$data" | cksum | cut -d ' ' -f 1)
    fi
    . scripts/toolchain.sh
    . scripts/cluster.sh
    mkdir -p "$demo"
    as_server test -x "$demo" || read_all "$demo"
    private_postgres "$demo" >/dev/null

    say "building the extension (the first time, this takes some minutes)"
    pgrx_home "$demo/pgrx" "$PG_CONFIG"
    cargo pgrx package --pg-config "$PG_CONFIG" --no-default-features --features "$PG_FEATURE" \
        --out-dir "$demo/pg" >"$demo/build.log" 2>&1 || { tail -n 40 "$demo/build.log" >&2; exit 1; }

    [ -z "$data" ] || can_server_read "$data" || read_all "$data"
    say "starting PostgreSQL in $demo"
    start_cluster "$demo" "shared_buffers = 512MB" "maintenance_work_mem = 512MB"
    # The databases are created anew if the extension's SQL has changed. An update of PostgreSQL does not matter.
    local sql
    sql=$(installed_sql | cksum)
    if [ -f "$demo/database" ] && [ "$sql" != "$(cat "$demo/made_with" 2>/dev/null)" ]; then
        say "the extension's tables or functions have changed, so the demo's databases are created anew"
        connect -d postgres -Atc "SELECT format('DROP DATABASE %I WITH (FORCE);', datname) FROM pg_database
                                  WHERE datname = 'sample' OR datname LIKE 'data\_%'" |
            connect -q -d postgres -v ON_ERROR_STOP=1
    fi
    echo "$sql" >"$demo/made_with"

    if [ -z "$data" ]; then
        data=$demo/sample
        cargo build --quiet --release --locked -p prize-format
        local maker
        maker="$(cksum <target/release/prize-sample) --genres 8"
        if [ "$maker" != "$(cat "$demo/sample_made_by" 2>/dev/null)" ]; then
            say "making a sample of a million ratings in the Prize's format"
            rm -rf "$data"
            target/release/prize-sample "$data" --genres 8
            connect -q -d postgres -c "SET client_min_messages = warning" -c "DROP DATABASE IF EXISTS sample WITH (FORCE)"
            echo "$maker" >"$demo/sample_made_by"
        fi
    fi
    echo "$database" >"$demo/database"
    [ "$(connect -d postgres -Atc "SELECT 1 FROM pg_database WHERE datname = '$database'")" = 1 ] ||
        connect -q -d postgres -c "CREATE DATABASE $database"

    say "load, train, evaluate, recommend"
    connect -d "$database" -v ON_ERROR_STOP=1 -q -v data="$data" --echo-queries <scripts/demo.sql
    write_report
    say "make psql opens a session in this database, make demo-stop stops the server"
}

# Writes the report of the demo's database into a file.
write_report() {
    # First into another file, so that an interrupted report does not replace an earlier one.
    connect -d "$(database)" -v ON_ERROR_STOP=1 -q -At -c "SELECT netflix_report()" >"$demo/report.html.new"
    mv "$demo/report.html.new" "$demo/report.html"
    printf '\nThe report: open file://%s in a browser\n' "$demo/report.html"
}

# Finds the demo's cluster, for commands that install nothing.
on_cluster() {
    [ -d "$demo/pg" ] || { echo "there is no demo yet; start it with make demo" >&2; exit 1; }
    PG_CONFIG=$(find "$demo/pg" -name pg_config -type f | head -n 1)
    PG_CONFIG=${PG_CONFIG#"$demo/pg"}
    . scripts/cluster.sh
    as_server test -x "$demo" || read_all "$demo" 2>/dev/null
}

case ${1:-run} in
    run) run "${2:-}" ;;
    psql)
        on_cluster
        start_cluster "$demo"
        connect -d "$(database)"
        ;;
    report)
        on_cluster
        start_cluster "$demo"
        write_report
        ;;
    stop)
        on_cluster
        stop_cluster "$demo"
        ;;
    *)
        echo "usage: demo.sh [run [DATA]] | report | psql | stop" >&2
        exit 2
        ;;
esac
