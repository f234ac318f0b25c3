#!/usr/bin/env bash
# Tests each way to preload the library: settings are known and checked before the first call, and the server starts, loads and
# trains. Also tests what other sessions see of a load's workers.
#
# usage: settings.sh FIXTURES DIR
#
# DIR is the folder of a running cluster of scripts/cluster.sh that has the extension. The test restarts its server. At the end the
# server runs with its former settings. Needs PG_CONFIG.
set -euo pipefail
# cluster.sh unsets the settings of the caller's shell for other servers.
. "$(dirname "$0")/../scripts/cluster.sh"
export LC_ALL=C
fixtures=$1 dir=$2
bin=$dir/pg$("$PG_CONFIG" --bindir)
export PGHOST=$(socket_dir "$dir") PGPORT=$socket_port PGUSER=postgres PGDATABASE=settings
export PGOPTIONS="-c client_min_messages=warning"
wrong() { printf 'FAILED: %s\n' "$*" >&2; exit 1; }
# ask QUERY ...: runs all queries in one session.
ask() {
    local queries=() query
    for query in "$@"; do queries+=(-c "$query"); done
    timeout 120 "$bin/psql" -X -q -At "${queries[@]}" 2>&1
}
is() { [ "$2" = "$3" ] || wrong "$1: '$2', not '$3'"; }          # is WHAT FOUND EXPECTED
says() { [[ "$2" == *"$3"* ]] || wrong "$1: '$2' does not say '$3'"; } # says WHAT FOUND EXPECTED

main() {
    work=$(mktemp -d)
    trap 'clean_up $?' EXIT
    PGDATABASE=postgres ask "DROP DATABASE IF EXISTS settings" "CREATE DATABASE settings" "DROP ROLE IF EXISTS settings_reader" \
        "CREATE ROLE settings_reader LOGIN" >/dev/null
    ask "CREATE EXTENSION netflix_rec"
    unknown
    for_sessions
    for_the_server
    printf 'settings are known if the library is preloaded\n'
}

# Restores the server's settings, also after a failure.
clean_up() {
    PGDATABASE=postgres ask "ALTER SYSTEM RESET ALL" >/dev/null || true
    restart || true
    PGDATABASE=postgres ask "DROP DATABASE IF EXISTS settings" "DROP ROLE IF EXISTS settings_reader" >/dev/null || true
    rm -rf "$work"
    exit "$1"
}

restart() {
    stop_cluster "$dir"
    start_cluster "$dir"
}

reload() {
    ask "SELECT pg_reload_conf()" >/dev/null
    # New sessions inherit the settings of the postmaster, so it must have read the file first.
    sleep 0.5
}

# The library is not preloaded: settings are unknown, or not checked.
unknown() {
    says "SHOW" "$(ask "SHOW netflix_rec.max_memory")" 'unrecognized configuration parameter "netflix_rec.max_memory"'
    says "ALTER SYSTEM" "$(ask "ALTER SYSTEM SET netflix_rec.memory_limit = '3GB'")" 'unrecognized configuration parameter'
    is "nonsense" "$(ask "ALTER ROLE settings_reader SET netflix_rec.max_memory = 'plenty'")" ""
    ask "ALTER ROLE settings_reader RESET ALL"
}

# session_preload_libraries, which needs no restart.
for_sessions() {
    ask "ALTER SYSTEM SET session_preload_libraries = 'netflix_rec'"
    reload
    preloaded
    ask "ALTER SYSTEM RESET ALL"
    reload
    # For one database.
    ask "ALTER DATABASE settings SET session_preload_libraries = 'netflix_rec'"
    preloaded
    ask "ALTER SYSTEM RESET ALL" "ALTER DATABASE settings RESET ALL"
    reload
}

# The same for each way to preload the library.
preloaded() {
    ask "ALTER SYSTEM SET netflix_rec.memory_limit = '3GB'"
    reload
    is "ALTER SYSTEM" "$(ask "SHOW netflix_rec.memory_limit")" 3GB
    says "nonsense" "$(ask "ALTER ROLE settings_reader SET netflix_rec.max_memory = 'plenty'")" 'invalid value for parameter "netflix_rec.max_memory"'
    says "a typing error" "$(ask "ALTER ROLE settings_reader SET netflix_rec.max_memroy = '1GB'")" 'netflix_rec.max_memroy'
    is "ALTER ROLE" "$(ask "ALTER ROLE settings_reader SET netflix_rec.max_memory = '100MB'")" ""
    is "a role's" "$(PGUSER=settings_reader ask "SHOW netflix_rec.max_memory")" 100MB
    says "above the ceiling" "$(PGUSER=settings_reader ask "SET netflix_rec.max_memory = '2000GB'")" 'netflix_rec.memory_limit allows 3072 MB.'
    says "the ceiling" "$(PGUSER=settings_reader ask "SET netflix_rec.memory_limit = '2000GB'")" 'permission denied to set parameter "netflix_rec.memory_limit"'
    says "the ceiling" "$(PGUSER=settings_reader PGOPTIONS="-c netflix_rec.memory_limit=2000GB" ask "SELECT 1")" 'permission denied to set parameter'
    says "every setting" "$(ask "SHOW ALL")" netflix_rec.data_directory
    ask "ALTER ROLE settings_reader RESET ALL"
}

# shared_preload_libraries. Other sessions watch a load.
for_the_server() {
    ask "ALTER SYSTEM SET shared_preload_libraries = 'netflix_rec'" "ALTER SYSTEM SET max_worker_processes = 5" \
        "ALTER SYSTEM SET netflix_rec.thread_limit = 64"
    restart
    preloaded
    timeout 120 "$bin/psql" -X -q -At -c "SELECT status FROM netflix_load('$fixtures/million', workers => 64)" >"$work/answer" 2>&1 &
    local load=$!
    ask "CREATE TABLE seen (state text, query text, progress text, elapsed interval)" \
        "CREATE FUNCTION watch() RETURNS void LANGUAGE plpgsql AS \$\$ BEGIN
             PERFORM pg_stat_clear_snapshot();
             INSERT INTO seen SELECT state, query FROM pg_stat_activity WHERE backend_type = 'netflix_load';
             INSERT INTO seen (progress, elapsed) SELECT phase, elapsed FROM netflix_progress;
             INSERT INTO most SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'netflix_load';
         END \$\$" "CREATE TABLE most (workers bigint)"
    while kill -0 $load 2>/dev/null; do ask "SELECT watch()" >/dev/null; done
    wait $load || true
    is "the load" "$(cat "$work/answer")" completed
    is "workers, of which two are left to others" "$(ask "SELECT max(workers) FROM most")" 3
    # A worker that is just starting has no state yet.
    is "what workers do" "$(ask "SELECT DISTINCT state, substr(query, 1, 32) FROM seen WHERE state IS NOT NULL")" \
        "active|SELECT status FROM netflix_load("
    [ "$(ask "SELECT count(DISTINCT progress) FROM seen")" -ge 2 ] || wrong "no progress was seen"
    is "phases" "$(ask "SELECT DISTINCT progress FROM seen WHERE progress NOT IN ('reading files', 'loading ratings', 'building indexes', 'finishing')")" ""
    is "elapsed" "$(ask "SELECT max(elapsed) BETWEEN interval '0' AND interval '2 min' FROM seen")" t
    is "training" "$(ask "SELECT version FROM train_als(factors => 2, iterations => 1)")" 1
    is "recommending" "$(ask "SELECT count(*) FROM recommend((SELECT min(customer_id) FROM dim_customer), 3)")" 3
}

main "$@"
