#!/usr/bin/env bash
# Tests that a backend notices interrupts while its threads compute: a lost client, a dead postmaster, a request to log its memory,
# a request to end, and a timeout. Also tests that training has no transaction id before it writes, and that it goes on with fewer
# threads.
#
# usage: interrupts.sh DIR
#
# DIR is the folder of a running cluster of scripts/cluster.sh that has the extension. The test kills its postmaster and starts it
# again. The server runs at the end. Needs PG_CONFIG.
set -euo pipefail
# cluster.sh unsets the settings of the caller's shell for other servers.
. "$(dirname "$0")/../../scripts/cluster.sh"
export LC_ALL=C
dir=$1
export PGHOST=$(socket_dir "$dir") PGPORT=$socket_port PGUSER=postgres PGDATABASE=interrupts
ask() { psql -X -q -At -v ON_ERROR_STOP=1 -c "$1"; }
wrong() { printf 'FAILED: %s\n' "$*" >&2; exit 1; }

# A training that takes minutes if nobody stops it: 27,000 ratings, 256 factors, 1,000 iterations.
long="SELECT FROM train_als('long', factors => 256, iterations => 1000, deploy => true)"

main() {
    trap 'jobs -p | xargs -r kill 2>/dev/null || true' EXIT
    PGDATABASE=postgres ask "DROP DATABASE IF EXISTS interrupts"
    PGDATABASE=postgres ask "CREATE DATABASE interrupts"
    PGOPTIONS="-c client_min_messages=warning" psql -X -q -v ON_ERROR_STOP=1 >/dev/null <<'SQL'
CREATE EXTENSION netflix_rec;
SELECT FROM ratings_load($$
    SELECT c AS customer_id, m AS movie_id, 1 + (c * 7 + m * 13 + c * m) % 5 AS rating, DATE '2005-01-01' + m AS rated_on
    FROM generate_series(1, 400) c, generate_series(1, 200) m WHERE (c * 31 + m * 17) % 3 = 0
$$);
SQL
    lost_client
    logged_memory
    ended
    few_threads
    graphs
    orphaned
    [ "$(ask "SELECT count(*) FROM model WHERE name = 'long'")" = 0 ] || wrong "a stopped training left a model behind"
}

# Starts a training in the background and waits until its threads compute. Sets `client` and `backend` to the two process ids.
train_long() { # train_long SETTING
    PGOPTIONS="-c client_min_messages=error -c application_name=trainer -c netflix_rec.threads=2 $1" \
        psql -X -q -c "$long" >"$dir/interrupts.out" 2>&1 &
    client=$!
    backend=
    local try
    for try in {1..100}; do
        backend=$(ask "SELECT pid FROM netflix_progress WHERE phase = 'training'")
        [ -z "$backend" ] || return 0
        sleep 0.1
    done
    cat "$dir/interrupts.out" >&2
    wrong "the training did not begin"
}

# Waits until the backend has ended, at most this many tenths of a second. Succeeds if it has.
gone() { # gone TENTHS
    local try
    for ((try = 0; try < $1; try++)); do
        [ "$(ask "SELECT count(*) FROM pg_stat_activity WHERE pid = $backend")" != 0 ] || return 0
        sleep 0.1
    done
    return 1
}

lost_client() {
    train_long "-c client_connection_check_interval=200"
    [ "$(ask "SELECT backend_xid IS NULL FROM pg_stat_activity WHERE pid = $backend")" = t ] ||
        wrong "training has a transaction id before it writes"
    kill -9 "$client"
    wait "$client" 2>/dev/null || true
    gone 20 || wrong "the backend still trains 2 s after its client was killed"
    printf 'the backend ends with its client\n'
}

logged_memory() {
    train_long ""
    local before try
    before=$(wc -l <"$dir/log")
    [ "$(ask "SELECT pg_log_backend_memory_contexts($backend)")" = t ] || wrong "memory contexts cannot be logged"
    for try in {1..20}; do
        ! tail -n +"$((before + 1))" "$dir/log" | grep -c "logging memory contexts of PID $backend" >/dev/null || break
        sleep 0.1
    done
    tail -n +"$((before + 1))" "$dir/log" | grep -c "logging memory contexts of PID $backend" >/dev/null ||
        wrong "a training backend does not log its memory contexts within 2 s"
    [ "$(ask "SELECT count(*) FROM netflix_progress WHERE pid = $backend AND phase = 'training'")" = 1 ] ||
        wrong "after logging its memory contexts, the backend does not go on training"
    printf 'the backend logs its memory contexts while it trains\n'
}

ended() {
    [ "$(ask "SELECT pg_terminate_backend($backend)")" = t ]
    gone 10 || wrong "the backend still trains 1 s after pg_terminate_backend"
    wait "$client" 2>/dev/null || true
    printf 'the backend ends on pg_terminate_backend\n'
}

# Limits the address space, so that only a few of 256 threads can be started. The training goes on with these, says so, and the
# model is the same.
few_threads() {
    cat >"$dir/limit.sh" <<'SH'
#!/bin/sh
# limit.sh PID MEGABYTES: lets the address space of a process grow by this much at most.
size=$(awk '/^VmSize/ {print $2}' "/proc/$1/status")
prlimit --pid "$1" --as="$((size * 1024 + $2 * 1048576)):"
SH
    chmod 755 "$dir/limit.sh"
    as_server env PGHOST="$PGHOST" PGPORT="$PGPORT" PGUSER="$PGUSER" PGDATABASE="$PGDATABASE" LIMIT="$dir/limit.sh" \
        psql -X -q -At >"$dir/interrupts.out" 2>&1 <<'SQL'
SET client_min_messages = warning;
SELECT FROM train_als('all', factors => 4, iterations => 2, deploy => false);
SELECT pg_backend_pid() AS backend \gset
\setenv BACKEND :backend
SET netflix_rec.thread_limit = 256;
SET netflix_rec.threads = 256;
\! sh "$LIMIT" "$BACKEND" 64
SELECT FROM train_als('few', factors => 4, iterations => 2, deploy => false);
\! prlimit --pid "$BACKEND" --as=unlimited:
SELECT 'same', (SELECT array_agg(factors ORDER BY customer_key) FROM customer_factors WHERE model_id = model_id('few', 1))
             = (SELECT array_agg(factors ORDER BY customer_key) FROM customer_factors WHERE model_id = model_id('all', 1));
SQL
    grep -q '^WARNING: *could start [0-9]* of 256 threads only' "$dir/interrupts.out" && grep -q '^same|t' "$dir/interrupts.out" || {
        cat "$dir/interrupts.out" >&2
        wrong "a training that gets only a few threads does not go on"
    }
    printf 'a training goes on with the threads that could be started\n'
}

# Graph functions stop at a timeout, and leave no graph behind. Without it, these would take minutes.
graphs() {
    ask "SELECT FROM graph_project_sql('tangle', \$\$SELECT a AS from_id, 1 + a * b * 79 % 3000 AS to_id, 1 + (a + b) % 7 AS weight
                                                   FROM generate_series(1, 3000) a, generate_series(1, 100) b\$\$)" 2>"$dir/interrupts.out" || { cat "$dir/interrupts.out" >&2; wrong "there is no graph to stop at"; }
    local call started took
    for call in "graph_betweenness('tangle', weighted => true)" "graph_closeness('tangle', weighted => true)" \
        "generate_series(1, 1000) n, graph_leiden('tangle', seed => n)" "generate_series(1, 1000) n, graph_project_movies('many' || n)"; do
        started=$(date +%s%N)
        ! PGOPTIONS="-c statement_timeout=700 -c client_min_messages=error" ask "SELECT FROM $call" 2>"$dir/interrupts.out" || wrong "$call was not stopped"
        took=$((($(date +%s%N) - started) / 1000000))
        grep -q 'canceling statement due to statement timeout' "$dir/interrupts.out" || { cat "$dir/interrupts.out" >&2; wrong "$call"; }
        [ "$took" -lt 1500 ] || wrong "$call stopped only $((took - 700)) ms after the timeout"
    done
    [ "$(ask "SELECT string_agg(graph, ' ') FROM graphs")" = tangle ] || wrong "a stopped projection left a graph behind"
    printf 'graph functions stop at a timeout\n'
}

orphaned() {
    train_long ""
    as_server kill -9 "$(head -n 1 "$dir/data/postmaster.pid")"
    local try
    for try in {1..40}; do
        [ -d "/proc/$backend" ] || break
        sleep 0.1
    done
    [ ! -d "/proc/$backend" ] || wrong "the backend still trains 4 s after the postmaster was killed"
    wait "$client" 2>/dev/null || true
    # A server starts only after the last process attached to the old server's shared memory has ended.
    for try in {1..50}; do
        ! start_cluster "$dir" 2>/dev/null || break
        sleep 0.2
    done
    ask "SELECT 1" >/dev/null
    printf 'the backend ends with the postmaster\n'
}

main "$@"
