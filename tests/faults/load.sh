#!/usr/bin/env bash
# Tests that the next call finishes an interrupted load, whatever interrupted it and at any moment. The tables must then be the same
# as after a load without interruption.
#
# usage: load.sh FIXTURES DIR [FAULTS [SEED]]
#
# DIR is the folder of a running cluster of scripts/cluster.sh that has the extension. The test kills its server and starts it
# again. The server runs at the end. Needs PG_CONFIG. Up to 10 FAULTS (9 by default, one of each kind) make the short test. With
# more of them, the data set is larger, and more cases are tried. The same SEED gives the same faults at the same moments, if the
# loads take the same time. Prints a line for each load: which fault interrupted it, at which moment and phase, and how much of it
# was left.
set -euo pipefail
# cluster.sh unsets the settings of the caller's shell for other servers.
. "$(dirname "$0")/../../scripts/cluster.sh"
export LC_ALL=C
fixtures=$1 dir=$2 faults=${3:-9} seed=${4:-$RANDOM}
RANDOM=$seed
bin=$dir/pg$("$PG_CONFIG" --bindir)
export PGHOST=$(socket_dir "$dir") PGPORT=$socket_port PGUSER=postgres PGDATABASE=faults
export PGOPTIONS="-c client_min_messages=warning"
say() { printf '%s\n' "$*"; }
wrong() { printf 'FAILED, seed %s: %s\n' "$seed" "$*" >&2; exit 1; }

# The kinds of faults, each named after what it does to a load, and the error that the load's caller must get.
kinds=(kill_worker cancel kill_postmaster terminate_caller stop_at_once time_out kill_client terminate_worker kill_caller)
# When the server crashes, the caller loses the connection, or first gets the error that a worker is lost.
lost='server closed the connection|terminating connection|connection to server was lost|ERROR:  08006:'
declare -A answers=(
    [kill_worker]=$lost [kill_caller]=$lost [kill_postmaster]=$lost [stop_at_once]=$lost [kill_client]=''
    [cancel]='ERROR:  57014: canceling statement due to user request'
    [time_out]='ERROR:  57014: canceling statement due to statement timeout'
    [terminate_caller]='FATAL:  57P01: terminating connection due to administrator command'
    [terminate_worker]='ERROR:  57P01: terminating background worker'
)

main() {
    say "seed $seed"
    work=$(mktemp -d)
    trap 'clean_up $?' EXIT
    # The server runs as another user, and reads and writes files in it.
    chmod 755 "$work"
    PGDATABASE=postgres ask "DROP DATABASE IF EXISTS faults" "CREATE DATABASE faults"
    make_database
    data=$fixtures/interrupted
    [ "$faults" -le 10 ] || data=$fixtures/million
    folder=$data workers=2 round=0 hits=0 misses=0 slowest=0
    undisturbed
    while [ $hits -lt "$faults" ]; do
        interrupted
        [ $misses -le $((faults + 5)) ] || wrong "$misses faults came after the load had ended"
    done
    changed_files
    full_disk
    kept_plans
    meanwhile
    if [ "$faults" -gt 10 ]; then
        limited_files
        given_up
        onto_others
    fi
    say "$round loads gave the same tables as the undisturbed one; $hits faults came at random moments of a load, $misses after its end"
    say "the workers of a stopped load ended within $slowest ms"
}

now() { echo $((${EPOCHREALTIME/./} / 1000)); }
seconds() { printf '%d.%02d s' $(($1 / 1000)) $(($1 % 1000 / 10)); }
pause() { sleep "$(printf '%d.%03d' $(($1 / 1000)) $(($1 % 1000)))"; }

# Leaves the server running, without a limit on files, and removes everything that the test made outside of the cluster.
clean_up() {
    is_running "$dir" || start_cluster "$dir" || true
    limit_files unlimited || true
    if mountpoint -q "$work/disk"; then small_disk_away || umount -l "$work/disk" || true; fi
    rm -rf "$work"
    exit "$1"
}

# ask QUERY ...: runs each query in a session of its own.
ask() {
    local query
    for query in "$@"; do timeout 120 "$bin/psql" -X -q -At -v ON_ERROR_STOP=1 -c "$query"; done
}

make_database() {
    ask "CREATE EXTENSION netflix_rec"
    has_amcheck=$(ask "SELECT count(*) FROM pg_available_extensions WHERE name = 'amcheck'")
    if [ "$has_amcheck" = 1 ]; then
        ask "CREATE EXTENSION amcheck"
    else
        say "amcheck is not installed, so indexes are not compared with their tables"
    fi
}

# --- a load, with or without a fault ----------------------------------------------------------------------------------

# load: calls netflix_load. Prints `completed`, or the error.
load() { timeout 300 "$bin/psql" -X -q -At -v VERBOSITY=verbose -c "$(call)" 2>&1; }
call() { echo "SELECT status FROM netflix_load('$folder', $workers, NULL)"; }

# begin [TIMEOUT]: the same in the background. Sets `client` to the process id of psql, and `caller` to that of its backend.
begin() {
    PGAPPNAME=faults PGOPTIONS="$PGOPTIONS -c statement_timeout=${1:-0}" \
        "$bin/psql" -X -q -At -v VERBOSITY=verbose -c "$(call)" >"$work/answer" 2>&1 &
    client=$!
    caller=
    while [ -z "$caller" ] && kill -0 $client 2>/dev/null; do
        caller=$(ask "SELECT pid FROM pg_stat_activity WHERE application_name = 'faults' AND state = 'active'
                                                             AND backend_type = 'client backend'")
    done
}

undisturbed() {
    local began
    ask "SELECT netflix_reset()" >/dev/null
    [ $# -eq 0 ] || "$@"
    began=$(now)
    [ "$(load)" = completed ] || wrong "the undisturbed load failed"
    duration=$(($(now) - began))
    say "undisturbed load of $folder: $(seconds $duration)"
    reference=$(contents)
    size=$(ask "SELECT pg_total_relation_size('fact_ratings')")
    ! grep '^not in use' <<<"$reference" || wrong "the undisturbed load left indexes that are not in use"
}

# The contents of the tables and of the ledger. (Without run_id, because a load that was rolled back has used one, too.)
contents() {
    local table
    for table in fact_ratings dim_customer dim_movie dim_date qualifying; do
        ask "SELECT '$table', count(*), sum(hash_record_extended(t, 0)) FROM $table AS t"
    done
    ask "SELECT 'load_run', status, files, ratings_read, ratings_loaded, duplicates, rejected, first_rating_key,
                customers, movies, probe_pairs, qualifying_pairs FROM load_run ORDER BY run_id" \
        "SELECT 'load_file', state, count(*), sum(hashtextextended(concat_ws(',', file_no, kind, replace(path, '$folder', ''),
                member, position, bytes, checksum, records, rejected), 0)) FROM load_file GROUP BY state" \
        "SELECT 'load_unit', count(*) FROM load_unit" \
        "SELECT 'load_reject', count(*), sum(hashtextextended(concat_ws(',', reject_no, file_no, line, text, reason), 0))
         FROM load_reject" \
        "SELECT 'not in use', indexrelid::regclass FROM pg_index WHERE NOT (indisvalid AND indisready AND indislive)" \
        "SELECT 'under way', count(*) FROM netflix_progress"
}

# go_on LINE: checks that the next call succeeds and leaves the right tables.
go_on() {
    local began answer
    began=$(now)
    answer=$(load) || true
    [ "$answer" = completed ] || wrong "$1: the next call failed: $answer"
    is_same "$1: the next call took $(seconds $(($(now) - began)))"
}

is_same() { # is_same LINE
    local found
    found=$(contents)
    [ "$found" = "$reference" ] || wrong "$1; the tables differ:
$(diff <(echo "$reference") <(echo "$found"))"
    round=$((round + 1))
    [ $((round % 4)) -ne 3 ] || prove
    printf '%3d  %s, ok\n' $round "$1"
}

# Checks that indexes match their tables, and that each rating has a customer, a movie and a day.
prove() {
    local index
    if [ "$has_amcheck" = 1 ]; then
        for index in $(ask "SELECT indexrelid FROM pg_index WHERE indrelid::regclass::text IN
                                ('fact_ratings', 'qualifying', 'dim_customer', 'dim_movie')"); do
            ask "SELECT bt_index_check($index, true)" >/dev/null || wrong "index $index is damaged"
        done
        [ "$(ask "SELECT count(*) FROM verify_heapam('fact_ratings')")" = 0 ] || wrong "fact_ratings is damaged"
    fi
    ask "BEGIN; ALTER TABLE fact_ratings ADD FOREIGN KEY (customer_key) REFERENCES dim_customer,
            ADD FOREIGN KEY (movie_key) REFERENCES dim_movie, ADD FOREIGN KEY (date_key) REFERENCES dim_date; ROLLBACK" ||
        wrong "the customer, movie or day of a rating is missing"
}

# --- faults at random moments -----------------------------------------------------------------------------------------

# Interrupts one load one to three times.
interrupted() {
    local times line="" spent=0 moment
    times=$((1 + (round + 2) % 3))
    workers=$((1 + RANDOM % 4))
    ask "SELECT netflix_reset()" >/dev/null
    while [ $times -gt 0 ] && [ $hits -lt "$faults" ]; do
        times=$((times - 1))
        # Steps of the golden ratio spread any number of moments evenly over the load.
        moment=$(((duration - spent) * ((hits * 618 + RANDOM % 300) % 1000) / 1030 + 1))
        spent=$((spent + moment))
        strike "${kinds[hits % ${#kinds[@]}]}" $moment
        line+="${line:+; }$struck"
        if [ $is_over = 1 ]; then
            misses=$((misses + 1))
            # This load was faster than the measured one.
            duration=$((duration * 9 / 10))
            is_same "$line"
            return
        fi
        hits=$((hits + 1))
        refused_writes
    done
    go_on "$line"
}

# While indexes are disabled, nobody else can write to the star schema, but everybody can read.
refused_writes() {
    local statement answer
    [ "$(ask "SELECT count(*) FROM pg_index WHERE indrelid = 'fact_ratings'::regclass AND NOT indisready")" != 0 ] || return 0
    for statement in "INSERT INTO fact_ratings SELECT max(rating_key) + 1, 1, 1, 20050101, 5, false FROM fact_ratings" \
        "DELETE FROM fact_ratings WHERE rating_key = 1" "UPDATE dim_customer SET customer_key = customer_key" \
        "TRUNCATE fact_ratings" "DELETE FROM dim_date" "SELECT add_rating(1, 1, 5, '2005-01-01')"; do
        answer=$(timeout 120 "$bin/psql" -X -q -At -v VERBOSITY=verbose -c "$statement" 2>&1) || true
        grep -q 'ERROR:  55000: .* has to wait: a load of' <<<"$answer" || wrong "$struck: $statement: $answer"
    done
    ask "SELECT count(*) FROM fact_ratings" >/dev/null
}

# strike KIND MS: begins a load, and causes this fault after so many milliseconds. Sets `struck` to a description of it, and
# `is_over` to 1 if the load had ended before.
strike() {
    local kind=$1 moment=$2 timeout=0 was began left
    struck="$kind at $(seconds "$moment")"
    [ "$kind" != time_out ] || timeout=$moment
    begin $timeout
    pause "$moment"
    was=$(ask "SELECT phase || coalesce(' ' || done * 100 / nullif(total, 0) || '%', '') FROM netflix_progress")
    if [ "$kind" != time_out ]; then $kind; fi
    began=$(now)
    await_client
    await_server
    no_worker_left "$kind" "$began"
    left=$(ask "SELECT (SELECT count(*) FROM load_unit) || ' units, ' || count(*) || ' indexes' FROM pg_index WHERE NOT indisvalid")
    struck+=" (${was:-no phase}; left: $left)"
    is_over=0
    if [ "$(ask "SELECT count(*) FROM load_run WHERE path = '$folder' AND status = 'completed'")" != 0 ]; then
        is_over=1
        struck+=", too late"
    elif [ -n "${answers[$kind]}" ] && ! grep -qE "${answers[$kind]}" "$work/answer"; then
        wrong "$struck: the caller got: $(cat "$work/answer")"
    fi
}

# Waits until the client has ended.
await_client() {
    local until=$(($(now) + 60000))
    while kill -0 $client 2>/dev/null; do
        [ "$(now)" -lt $until ] || wrong "$struck: the caller still waits after a minute"
        sleep 0.01
    done
    # Without the redirection, the shell would print that the client was killed.
    { wait $client || true; } 2>/dev/null
}

# Waits until the server accepts sessions. Starts the server if it is down.
await_server() {
    local until=$(($(now) + 60000))
    until "$bin/psql" -X -q -c "SELECT" >/dev/null 2>&1; do
        is_running "$dir" || start_cluster "$dir" 2>/dev/null
        [ "$(now)" -lt $until ] || wrong "$struck: the server accepts no sessions: $(tail -n 20 "$dir/log")"
        sleep 0.02
    done
}

# no_worker_left KIND SINCE: checks that a load has no workers a second after the fault.
no_worker_left() {
    local left passed
    while left=$(workers_left) && [ -n "$left" ] && passed=$(($(now) - $2)); do
        [ $passed -lt 1000 ] || wrong "$struck: workers still run: $(ask "SELECT pid, state, wait_event FROM pg_stat_activity
                                            WHERE backend_type = 'netflix_load'")"
    done
    # The time of other faults does not count, because it includes the server's restart.
    case $1 in
        cancel | time_out | terminate_*)
            passed=$(($(now) - $2))
            [ $passed -le $slowest ] || slowest=$passed
            [ $passed -lt 1000 ] || wrong "$struck: it took $passed ms until the caller got the error and no worker was left" ;;
    esac
}

workers_left() { ask "SELECT pid FROM pg_stat_activity WHERE backend_type = 'netflix_load'"; }

# Prints the process id of a worker. Waits for one, because there is none between two phases of a load.
a_worker() {
    local workers=
    while [ -z "$workers" ] && kill -0 $client 2>/dev/null; do workers=$(workers_left); done
    head -n 1 <<<"${workers:-0}"
}

# It is no error if the process has ended before.
end() { [ "${1:-0}" = 0 ] || kill -9 "$1" 2>/dev/null || true; }
cancel() { ask "SELECT pg_cancel_backend(${caller:-0})" >/dev/null 2>&1; }
terminate_caller() { ask "SELECT pg_terminate_backend(${caller:-0})" >/dev/null 2>&1; }
terminate_worker() { ask "SELECT pg_terminate_backend($(a_worker))" >/dev/null 2>&1; }
kill_worker() { end "$(a_worker)"; }
kill_caller() { end "$caller"; }
stop_at_once() { (cd / && as_server "$bin/pg_ctl" -D "$dir/data" -m immediate -w stop >/dev/null); }

# The backend notices a lost client only when it sends something. That would be too late for the next call, so it is terminated.
kill_client() {
    end $client
    ask "SELECT pg_terminate_backend(${caller:-0}, 10000)" >/dev/null 2>&1
}

# While a process is attached to the dead server's shared memory it may write, and no other server can start. So this waits for all.
kill_postmaster() {
    local postmaster segment until
    postmaster=$(head -n 1 "$dir/data/postmaster.pid")
    segment=$(awk 'NR == 7 {print $2}' "$dir/data/postmaster.pid")
    end "$postmaster"
    until=$(($(now) + 10000))
    while kill -0 "$postmaster" 2>/dev/null ||
        awk -v segment="$segment" '$2 == segment && $7 > 0 {found = 1} END {exit !found}' /proc/sysvipc/shm; do
        [ "$(now)" -lt $until ] || wrong "processes of the server still run 10 s after the postmaster was killed"
        sleep 0.01
    done
}

# --- other sessions at work -------------------------------------------------------------------------------------------

# A transaction with a cached plan that uses an index must go on seeing all of its rows. So the load waits for this transaction
# before it disables the index, and again before it builds it. A notice and netflix_progress say so.
kept_plans() {
    local phase reader in out counted
    ask "SELECT netflix_reset()" >/dev/null
    workers=2
    coproc READER { "$bin/psql" -X -q -At 2>&1; }
    in=${READER[1]} out=${READER[0]}
    tell() { printf '%s;\n\\echo done\n' "$1" >&"$in"; said=; while read -r -t 60 line <&"$out" && [ "$line" != done ]; do said+=$line; done; }
    tell "SELECT pg_backend_pid()"
    reader=$said
    tell "SET enable_seqscan = off"
    tell "PREPARE of_one AS SELECT count(*) FROM fact_ratings WHERE customer_key = 1"
    for phase in "reading files" "building indexes"; do
        tell "BEGIN; EXECUTE of_one"
        PGOPTIONS="-c client_min_messages=notice" begin
        await_wait "$phase" "$reader"
        # (Any other session that began to read now would wait behind the load.)
        tell "EXECUTE of_one"
        if [ "$phase" = "reading files" ]; then
            [ "$said" = 0 ] || wrong "a reader counts $said ratings before there are any"
            tell "COMMIT"
            until [ "$(ask "SELECT count(*) > 0 FROM load_run")" = t ]; do kill -0 $client 2>/dev/null || break; done
            cancel
        else
            counted=$said
            tell "COMMIT"
        fi
        await_client
        grep -q "waiting until the transactions of these processes end: $reader" "$work/answer" ||
            wrong "no notice said which process the load waits for: $(cat "$work/answer")"
    done
    printf '\\q\n' >&"$in"
    wait "$READER_PID" 2>/dev/null || true
    [ "$counted" = "$(ask "SELECT count(*) FROM fact_ratings WHERE customer_key = 1")" ] && [ "$counted" -gt 0 ] ||
        wrong "a cached plan counts $counted ratings"
    is_same "readers with a cached plan"
}

await_wait() { # await_wait PHASE PID
    local until=$(($(now) + 60000))
    until [ "$(ask "SELECT count(*) FROM netflix_progress WHERE phase = '$1' AND waiting_for = $2")" = 1 ]; do
        [ "$(now)" -lt $until ] && kill -0 $client 2>/dev/null || wrong "the load does not wait for the reader: $(cat "$work/answer")"
    done
}

# A later load is interrupted, and an application writes before the load goes on. Whatever the application writes, no key is
# violated, the load can be finished or given up, and nothing that the application wrote is lost.
meanwhile() {
    local kind fate failed
    folder=$fixtures/interrupted
    ask "DROP TABLE IF EXISTS written" "CREATE TABLE written (customer_id int, movie_id int, PRIMARY KEY (customer_id, movie_id))"
    for fate in finished abandoned finished; do
        ask "SELECT netflix_reset()" "TRUNCATE written" "SELECT FROM netflix_load('$fixtures/layouts/tar')" \
            "DROP TABLE IF EXISTS before" "CREATE TABLE before AS SELECT customer_id, movie_id FROM fact_ratings
                JOIN dim_customer USING (customer_key) JOIN dim_movie USING (movie_key)" >/dev/null
        kind=${kinds[RANDOM % ${#kinds[@]}]}
        strike "$kind" $((duration * (200 + RANDOM % 700) / 1000))
        application $((5 + RANDOM % 10))
        # Days that the workers need, each of them in another order.
        ask "DELETE FROM dim_date d WHERE NOT EXISTS (SELECT FROM fact_ratings f WHERE f.date_key = d.date_key)
             AND NOT EXISTS (SELECT FROM qualifying q WHERE q.date_key = d.date_key)"
        if [ $fate = abandoned ] && [ $is_over = 0 ] && [ "$(ask "SELECT count(*) FROM load_run WHERE status = 'loading'")" = 1 ]; then
            ask "SELECT FROM netflix_load_abandon()"
            held "$struck, abandoned"
        fi
        [ "$(load)" = completed ] || wrong "$struck, and an application wrote: the next call failed: $(load)"
        held "$struck, then $fate"
        round=$((round + 1))
        printf '%3d  %s, an application wrote, %s, ok\n' $round "$struck" "$fate"
    done
    ask "DROP TABLE written, before"
}

# held LINE: checks that all earlier ratings and all of the application's are there, once, and that no key is violated.
held() {
    local lost failed
    prove
    lost=$(ask "SELECT count(*) FROM (SELECT * FROM before UNION SELECT * FROM written EXCEPT
                SELECT customer_id, movie_id FROM fact_ratings JOIN dim_customer USING (customer_key) JOIN dim_movie USING (movie_key)) AS lost")
    [ "$lost" = 0 ] || wrong "$1: $lost ratings are lost"
    failed=$(ask "SELECT string_agg(check_name || ' ' || value, ', ') FROM data_quality()
                  WHERE status = 'failed' AND check_name NOT LIKE '%_counts' AND check_name <> 'calendar_gaps'")
    [ -z "$failed" ] || wrong "$1: data_quality says: $failed"
}

# application N: runs N random statements of an application that knows nothing of loads. A statement may be refused because a load
# is unfinished, or because the pair exists already.
application() {
    local n statement answer pair="customer_key, movie_key FROM (SELECT customer_key FROM dim_customer ORDER BY random() LIMIT 1) c,
                               (SELECT movie_key FROM dim_movie ORDER BY random() LIMIT 1) m"
    local note="INSERT INTO written SELECT customer_id, movie_id FROM new JOIN dim_customer USING (customer_key) JOIN dim_movie USING (movie_key) ON CONFLICT DO NOTHING"
    local statements=(
        "WITH new AS (INSERT INTO fact_ratings (customer_key, movie_key, date_key, rating, is_probe)
            SELECT customer_key, movie_key, (SELECT min(date_key) FROM dim_date), 3, false FROM (SELECT $pair) p RETURNING *) $note"
        "WITH new AS (INSERT INTO fact_ratings
            SELECT (SELECT max(rating_key) + 1 FROM fact_ratings), customer_key, movie_key, (SELECT max(date_key) FROM dim_date), 3, false
            FROM (SELECT $pair) p RETURNING *) $note"
        "WITH pair AS MATERIALIZED (SELECT (random() * 1e6)::int + 1 AS customer_id, movie_id FROM dim_movie ORDER BY random() LIMIT 1),
            added AS MATERIALIZED (SELECT customer_id, movie_id FROM pair, LATERAL add_rating(customer_id, movie_id, 4, '2005-05-05'))
            INSERT INTO written SELECT * FROM added ON CONFLICT DO NOTHING"
        "WITH pair AS MATERIALIZED (SELECT customer_id, movie_id FROM fact_ratings JOIN dim_customer USING (customer_key) JOIN dim_movie USING (movie_key)
                ORDER BY rating_key DESC LIMIT 1),
            added AS MATERIALIZED (SELECT customer_id, movie_id FROM pair, LATERAL add_rating(customer_id, movie_id, 1, '2005-05-05'))
            INSERT INTO written SELECT * FROM added ON CONFLICT DO NOTHING"
        "SELECT FROM ratings_load('SELECT (random() * 1e6)::int + 1 AS customer_id, movie_id, 2 AS rating, date ''2011-01-01'' AS rated_on
                                   FROM dim_movie ORDER BY random() LIMIT 20')"
        "DELETE FROM dim_date WHERE date_key = (SELECT date_key FROM dim_date d WHERE NOT EXISTS (SELECT FROM fact_ratings f WHERE f.date_key = d.date_key)
            AND NOT EXISTS (SELECT FROM qualifying q WHERE q.date_key = d.date_key) ORDER BY random() LIMIT 1)"
        "UPDATE fact_ratings SET rating = 6 - rating WHERE rating_key = (SELECT max(rating_key) FROM fact_ratings)"
        "VACUUM fact_ratings" "REINDEX TABLE CONCURRENTLY fact_ratings" "SELECT * FROM data_quality()"
        "BEGIN; DELETE FROM fact_ratings; ROLLBACK"
    )
    for n in $(seq "$1"); do
        statement=${statements[RANDOM % ${#statements[@]}]}
        answer=$(timeout 120 "$bin/psql" -X -q -At -v VERBOSITY=verbose -v ON_ERROR_STOP=1 -c "$statement" 2>&1 >/dev/null) ||
            grep -qE 'ERROR:  (55000|23505|23503|23502|P0002)' <<<"$answer" || wrong "$struck: an application got: $answer"
    done
}

# --- faults at chosen moments -----------------------------------------------------------------------------------------

# stop_after UNIT FAULT: begins a load with one worker, and causes this fault while the worker loads the next unit after this one.
stop_after() {
    workers=1
    begin
    until [ "$(ask "SELECT min(unit_no) > $1 FROM load_unit")" = t ]; do
        kill -0 $client 2>/dev/null || wrong "the load could not be stopped after unit $1: $(cat "$work/answer")"
    done
    struck="$2 after unit $1"
    $2
    await_client
    await_server
}

# A worker whose server has died begins no further unit. The next call does not read loaded files again, and the other files must be
# unchanged.
changed_files() {
    local path n=0 left
    mkdir "$work/copy"
    cp -r "$data" "$work/copy/"
    chmod -R a+rX "$work/copy"
    folder=$work/copy/$(basename "$data")
    ask "SELECT netflix_reset()" >/dev/null
    stop_after 1 kill_postmaster
    [ "$(ask "SELECT min(unit_no) <= 3 FROM load_unit")" = t ] || wrong "workers went on loading after the postmaster was killed"
    stop_after 2 terminate_caller

    for path in $(ask "SELECT path FROM load_file WHERE kind = 'ratings' AND state = 'loaded'"); do
        n=$((n + 1))
        if [ $((n % 2)) -eq 0 ]; then rm "$path"; else echo "nothing of use" >"$path"; fi
    done
    left=$(ask "SELECT path FROM load_file WHERE kind = 'ratings' AND state <> 'loaded' ORDER BY file_no OFFSET 100 LIMIT 1")
    [ $n -gt 100 ] && [ -n "$left" ] || wrong "there are too few files to change"
    cp "$left" "$work/kept"
    # Changes a rating, but not the file's length.
    sed -i '2s/,[1-4],/,5,/; t; 2s/,5,/,1,/' "$left"
    refused 55006 "$left"
    rm "$left"
    refused 58P01 "$left"
    cp "$work/kept" "$left"
    chmod a+r "$left"
    ask "SELECT path FROM load_file WHERE state <> 'loaded'" | xargs touch
    go_on "$n loaded files are damaged or deleted, a file that was not yet loaded is restored, the others have new times"
    folder=$data
    rm -rf "$work/copy"
}

refused() { # refused CODE PATH
    local answer
    answer=$(load) || true
    grep -qF "ERROR:  $1: " <<<"$answer" && grep -qF "\"$2\"" <<<"$answer" || wrong "$2 has changed, but: $answer"
}

# Puts the tables on a disk with room for only a part of fact_ratings: for some of its rows, or for all rows and some indexes.
full_disk() {
    local used part parts=(25 65)
    [ "$faults" -le 10 ] || parts=(5 25 45 55 65 80 95)
    mkdir "$work/disk"
    if ! mount -t tmpfs -o size=1g netflix_rec "$work/disk" 2>/dev/null; then
        say "no disk can be mounted here, so the size of the server's files is limited instead"
        [ "$faults" -gt 10 ] || limited_files
        return
    fi
    chown postgres "$work/disk"
    ask "CREATE TABLESPACE faults_disk LOCATION '$work/disk'" "CREATE DATABASE faults_disk TABLESPACE faults_disk"
    PGDATABASE=faults_disk workers=2
    make_database
    for part in "${parts[@]}"; do
        # A checkpoint frees the space of the truncated tables.
        ask "SELECT netflix_reset()" CHECKPOINT >/dev/null
        used=$(df -k --output=used "$work/disk" | tail -n 1)
        mount -o "remount,size=$((used + size / 1024 * part / 100))k" "$work/disk"
        no_room 53100 "disk full at $part%"
        no_room 53100 "disk still full at $part%"
        mount -o remount,size=1g "$work/disk"
        go_on "disk full at $part% (left: $(ask "SELECT count(*) FROM load_unit") units)"
    done
    PGDATABASE=faults
    small_disk_away
}

small_disk_away() {
    PGDATABASE=postgres ask "DROP DATABASE IF EXISTS faults_disk" "DROP TABLESPACE IF EXISTS faults_disk" && umount "$work/disk"
}

# The same with a limit on the size of each file, 20 MB, in place of a full disk.
limited_files() {
    ask "SELECT netflix_reset()" >/dev/null
    workers=2
    limit_files 20971520
    # PostgreSQL has no SQLSTATE of its own for this error.
    no_room "[0-9A-Z]{5}" "files limited"
    limit_files unlimited
    go_on "files limited (left: $(ask "SELECT count(*) FROM load_unit") units)"
}

limit_files() { (cd / && as_server prlimit --pid "$(head -n 1 "$dir/data/postmaster.pid")" --fsize="$1:unlimited"); }

no_room() { # no_room CODE WHAT
    local answer
    struck=$2
    answer=$(load) || true
    grep -qE "ERROR:  $1: could not extend" <<<"$answer" || wrong "$2: the caller got: $answer"
    no_worker_left "" "$(now)"
}

# netflix_reset also ends an interrupted load.
given_up() {
    local part
    for part in 40 70 90; do
        ask "SELECT netflix_reset()" >/dev/null
        strike terminate_caller $((duration * part / 100))
        ask "SELECT netflix_reset()" >/dev/null
        go_on "$struck, reset"
    done
}

# A load into a warehouse that already has ratings keeps the indexes in use and looks for duplicates.
onto_others() {
    local kind
    others() { ask "SELECT FROM netflix_load('$fixtures/layouts/tar')"; }
    folder=$fixtures/interrupted
    undisturbed others
    for kind in kill_worker cancel kill_postmaster stop_at_once; do
        ask "SELECT netflix_reset()" >/dev/null
        others
        strike $kind $((duration * (RANDOM % 950) / 1000))
        if [ $is_over = 1 ]; then is_same "onto others: $struck"; else go_on "onto others: $struck"; fi
    done
    prove
}

main
