#!/usr/bin/env bash
# Tests that an interrupted search goes on, whatever interrupted it: its tables are then those of a search without interruption.
#
# usage: search.sh DIR
#
# DIR is the folder of a running cluster of scripts/cluster.sh that has the extension. The test kills its server and starts it again.
# The server runs at the end. Needs PG_CONFIG.
set -euo pipefail
# cluster.sh unsets the settings of the caller's shell for other servers.
. "$(dirname "$0")/../../scripts/cluster.sh"
export LC_ALL=C
dir=$1
bin=$dir/pg$("$PG_CONFIG" --bindir)
export PGHOST=$(socket_dir "$dir") PGPORT=$socket_port PGUSER=postgres PGDATABASE=searches
export PGOPTIONS="-c client_min_messages=warning"
ask() { timeout 120 psql -X -q -At -v ON_ERROR_STOP=1 -c "$1"; }
wrong() { printf 'FAILED: %s\n' "$*" >&2; exit 1; }
now() { echo $((${EPOCHREALTIME/./} / 1000)); }

# Two stages of six and two trials: 16 trainings.
arguments="'als', '{\"factors\": [16, 24, 32], \"regularization\": [0.03, 0.06], \"iterations\": 100}', folds => 2, halving => true"

main() {
    trap 'jobs -p | xargs -r kill 2>/dev/null || true; is_running "$dir" || start_cluster "$dir"' EXIT
    PGDATABASE=postgres ask "DROP DATABASE IF EXISTS searches"
    PGDATABASE=postgres ask "CREATE DATABASE searches"
    psql -X -q -v ON_ERROR_STOP=1 >/dev/null <<'SQL'
CREATE EXTENSION netflix_rec;
SELECT FROM ratings_load($$
    SELECT c AS customer_id, m AS movie_id, 1 + (c * 7 + m * 13 + c * m) % 5 AS rating, DATE '2005-01-01' + m AS rated_on
    FROM generate_series(1, 1200) c, generate_series(1, 200) m WHERE (c * 31 + m * 17) % 3 = 0
$$);
SQL
    local began
    began=$(now)
    [ "$(ask "SELECT count(*) FROM grid_search($arguments)")" = 6 ] || wrong "the undisturbed search failed"
    duration=$(($(now) - began))
    reference=$(contents 1)
    echo "undisturbed search: $duration ms"
    local kind share
    # Each fault strikes in the middle of the first stage or of the second.
    for kind in kill_worker cancel stop_at_once terminate_worker kill_client terminate_caller; do
        for share in 10 45; do
            interrupted "$kind" "$share"
        done
    done
    two_at_once
}

# The tables of a search, but for times and its own number.
contents() {
    ask "SELECT kind, algorithm, space, folds, metric, halving, trials, state, best_trial, one_standard_error_trial FROM search WHERE search_id = $1"
    ask "SELECT trial_no, params, state, stage, sample, score, sd, error FROM search_trial WHERE search_id = $1 ORDER BY 1"
    ask "SELECT trial_no, stage, fold, train_rmse, rmse, mae, ndcg, score FROM search_fold WHERE search_id = $1 ORDER BY 1, 2, 3"
}

# begin: starts a search in the background, and waits for its worker. Sets `client` to the process id of psql, `caller` to that of its
# backend, and `worker` to that of the worker.
begin() {
    PGAPPNAME=faults psql -X -q -At -c "SELECT count(*) FROM grid_search($arguments)" >"$dir/search.out" 2>&1 &
    client=$!
    worker=
    local until=$(($(now) + 30000))
    while [ -z "$worker" ]; do
        [ "$(now)" -lt $until ] || wrong "the search has no worker: $(cat "$dir/search.out")"
        worker=$(ask "SELECT pid FROM pg_stat_activity WHERE backend_type = 'netflix_rec search'")
    done
    caller=$(ask "SELECT pid FROM pg_stat_activity WHERE application_name = 'faults' AND backend_type = 'client backend'")
}

# interrupted KIND SHARE: interrupts a search when this many percent of the undisturbed one's time have passed, and goes on.
interrupted() {
    local kind=$1 search began state judged passed
    begin
    sleep "$(awk "BEGIN { print $duration * $2 / 100000 }")"
    began=$(now)
    $kind
    { wait $client || true; } 2>/dev/null
    await_server
    while [ "$(ask "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'netflix_rec search'")" != 0 ]; do
        [ $(($(now) - began)) -lt 5000 ] || wrong "$kind: the worker still runs"
    done
    passed=$(($(now) - began))
    case $kind in
        cancel | terminate_*) [ $passed -lt 1000 ] || wrong "$kind: it took $passed ms until no worker was left" ;;
    esac
    IFS='|' read -r search state judged < <(ask "SELECT search_id, state, judged FROM searches ORDER BY 1 DESC LIMIT 1")
    [ "$state" = stopped ] || wrong "$kind at $2 %: search $search is $state: $(cat "$dir/search.out")"
    [ "$(ask "SELECT count(*) FROM grid_search(search => $search)")" = 6 ] || wrong "$kind: search $search did not go on"
    [ "$(contents "$search")" = "$reference" ] || wrong "$kind at $2 %: the tables differ:
$(diff <(echo "$reference") <(contents "$search"))"
    echo "$kind at $2 %: stopped within $passed ms, $judged of 6 trials judged; then completed, with the same tables"
}

kill_worker() { kill -9 "$worker" 2>/dev/null || true; }
terminate_worker() { ask "SELECT pg_terminate_backend($worker)" >/dev/null; }
cancel() { ask "SELECT pg_cancel_backend($caller)" >/dev/null; }
terminate_caller() { ask "SELECT pg_terminate_backend($caller)" >/dev/null; }
# The backend notices a lost client only when it sends something, so it is terminated.
kill_client() {
    kill -9 "$client"
    # Without the redirection, the shell would print that the client was killed.
    { wait "$client" || true; } 2>/dev/null
    ask "SELECT pg_terminate_backend($caller)" >/dev/null
}
stop_at_once() { (cd / && as_server "$bin/pg_ctl" -D "$dir/data" -m immediate -w stop >/dev/null); }

# Waits until the server accepts sessions. Starts the server if it is down.
await_server() {
    local until=$(($(now) + 60000))
    until psql -X -q -c "SELECT" >/dev/null 2>&1; do
        is_running "$dir" || start_cluster "$dir" 2>/dev/null
        [ "$(now)" -lt $until ] || wrong "the server accepts no sessions: $(tail -n 20 "$dir/log")"
        sleep 0.02
    done
}

# Two searches run at once. Nobody can go on with one that is running.
two_at_once() {
    local answer first second state
    begin
    until IFS='|' read -r first state < <(ask "SELECT search_id, state FROM searches ORDER BY 1 DESC LIMIT 1") && [ "$state" = running ]; do
        kill -0 $client || wrong "the search is over before it was seen"
    done
    answer=$(psql -X -q -At -v VERBOSITY=verbose -c "SELECT FROM grid_search(search => $first)" 2>&1) || true
    grep -q "ERROR:  55006: search $first is running" <<<"$answer" || wrong "a second call with the same search: $answer"
    [ "$(ask "SELECT done < total, time_left > '0' FROM netflix_progress WHERE phase = 'training and judging'")" != "" ] ||
        wrong "netflix_progress does not show the search"
    [ "$(ask "SELECT count(*) FROM grid_search($arguments)")" = 6 ] || wrong "a second search failed"
    wait $client || wrong "the first of two searches failed: $(cat "$dir/search.out")"
    second=$(ask "SELECT max(search_id) FROM search")
    [ "$second" != "$first" ] && [ "$(contents "$first")" = "$reference" ] && [ "$(contents "$second")" = "$reference" ] ||
        wrong "two searches at once disturb each other"
    echo "two searches at once, with the same tables"
}

main
