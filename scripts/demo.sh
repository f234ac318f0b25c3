#!/usr/bin/env bash
# The main job from end to end, on a private PostgreSQL in .demo: load, train, evaluate, recommend.
#
# usage: demo.sh [run [DATA]] | psql | stop
set -euo pipefail
cd "$(dirname "$0")/.."
demo=$PWD/.demo
READ_ALL=1

database() { cat "$demo/database" 2>/dev/null || echo sample; }

connect() {
    "$(dirname "$PG_CONFIG")/psql" -X -h "$(socket_dir "$demo")" -p "$socket_port" -U postgres "$@"
}

installed_sql() {
    cat "$demo/pg$("$PG_CONFIG" --sharedir)"/extension/netflix_rec--*.sql 2>/dev/null || true
}

run() {
    local data=${1:-} database=sample
    if [ -n "$data" ]; then
        [ -d "$data" ] || { echo "demo: DATA is no folder: $data" >&2; exit 1; }
        data=$(realpath "$data")
        # One warehouse for each data set: ids of different sets do not mean the same customers.
        database=data_$(printf %s "$data" | cksum | cut -d ' ' -f 1)
    fi
    . scripts/toolchain.sh
    . scripts/cluster.sh
    mkdir -p "$demo"
    private_postgres "$demo" >/dev/null

    say "building the extension (some minutes at first)"
    pgrx_home "$demo/pgrx" "$PG_CONFIG"
    cargo pgrx package --pg-config "$PG_CONFIG" --no-default-features --features "$PG_FEATURE" \
        --out-dir "$demo/pg" >"$demo/build.log" 2>&1 || { tail -n 40 "$demo/build.log" >&2; exit 1; }

    say "starting PostgreSQL in $demo"
    start_cluster "$demo" "shared_buffers = 512MB" "maintenance_work_mem = 512MB"
    # What the databases were made with; that PostgreSQL itself was brought up to date does not matter.
    local sql
    sql=$(installed_sql | cksum)
    if [ -f "$demo/database" ] && [ "$sql" != "$(cat "$demo/made_with" 2>/dev/null)" ]; then
        say "the extension's tables or functions have changed: the demo's databases are made anew"
        connect -d postgres -Atc "SELECT format('DROP DATABASE %I WITH (FORCE);', datname) FROM pg_database
                                  WHERE datname = 'sample' OR datname LIKE 'data\_%'" |
            connect -q -d postgres -v ON_ERROR_STOP=1
    fi
    echo "$sql" >"$demo/made_with"

    if [ -z "$data" ]; then
        data=$demo/sample
        if [ ! -f "$data/done" ]; then
            say "making a sample of a million ratings in the Prize's format"
            rm -rf "$data"
            cargo run --quiet --release --locked -p prize-format --bin prize-sample -- "$data"
            touch "$data/done"
        fi
    fi
    echo "$database" >"$demo/database"
    [ "$(connect -d postgres -Atc "SELECT 1 FROM pg_database WHERE datname = '$database'")" = 1 ] ||
        connect -q -d postgres -c "CREATE DATABASE $database"

    say "load, train, evaluate, recommend"
    connect -d "$database" -v ON_ERROR_STOP=1 -q -v data="$data" --echo-queries -f scripts/demo.sql
    say "make psql opens a session here, make demo-stop stops the server"
}

# For the commands that install nothing.
on_cluster() {
    [ -d "$demo/pg" ] || { echo "there is no demo here yet: make demo" >&2; exit 1; }
    PG_CONFIG=$(find "$demo/pg" -name pg_config -type f | head -n 1)
    PG_CONFIG=${PG_CONFIG#"$demo/pg"}
    . scripts/cluster.sh
}

case ${1:-run} in
    run) run "${2:-}" ;;
    psql)
        on_cluster
        start_cluster "$demo"
        connect -d "$(database)"
        ;;
    stop)
        on_cluster
        stop_cluster "$demo"
        ;;
    *)
        echo "usage: demo.sh [run [DATA]] | psql | stop" >&2
        exit 2
        ;;
esac
