#!/usr/bin/env bash
# Tests that a standby, and a server after a crash, make the same warehouse from the WAL of a load and a training.
#
# usage: standby.sh FIXTURES DIR
#
# DIR is the folder of an installation of scripts/cluster.sh that has the extension. The test creates a primary and a standby in it
# and removes them at the end. Needs PG_CONFIG and amcheck. The last part tests old_snapshot_threshold, which PostgreSQL 14 to 16
# have, because that needs a server of its own, too.
set -euo pipefail
# cluster.sh unsets the settings of the caller's shell for other servers.
. "$(dirname "$0")/../../scripts/cluster.sh"
export LC_ALL=C
fixtures=$1 dir=$2
bin=$dir/pg$("$PG_CONFIG" --bindir)
primary=$dir/replica/primary standby=$dir/replica/standby
export PGPORT=$socket_port PGUSER=postgres PGDATABASE=warehouse PGOPTIONS="-c client_min_messages=warning"
say() { printf '%3d s  %s\n' $SECONDS "$*"; }
wrong() { printf 'FAILED: %s\n' "$*" >&2; exit 1; }
same() { [ "$2" = "$3" ] || wrong "$1: $(diff <(echo "$2") <(echo "$3"))"; } # same WHAT FIRST SECOND

# on SERVER QUERY ...: runs each query in a session of its own.
on() {
    local query
    for query in "${@:2}"; do
        PGHOST=$(socket_dir "$1") timeout 120 "$bin/psql" -X -q -At -v ON_ERROR_STOP=1 -c "$query"
    done
}
# told SERVER QUERY: prints the error of the query, as an SQLSTATE.
told() { PGHOST=$(socket_dir "$1") timeout 120 "$bin/psql" -X -q -At -v VERBOSITY=sqlstate -c "$2" 2>&1 | tail -n 1; }

main() {
    trap clean_up EXIT
    clean_up
    make_primary
    make_standby

    # A load with two workers, a model whose factors are stored in the row, and one whose factors TOAST stores out of line.
    on "$primary" "SELECT FROM netflix_load('$fixtures/interrupted', 2)" \
        "SELECT FROM train_als(factors => 8, iterations => 2)" \
        "SELECT FROM train_als('long', factors => 520, iterations => 1, cg_steps => 1)"
    [ "$(on "$primary" "SELECT pg_relation_size(reltoastrelid) > 0 FROM pg_class WHERE relname = 'customer_factors'")" = t ] ||
        wrong "no factors are stored out of line, so the test would prove nothing"
    caught_up "a load and two trainings"
    serves_but_does_not_train
    crash

    # With this setting, PostgreSQL compares each page that the standby changes by a WAL record with the primary's page.
    on "$primary" "SELECT netflix_reset()" "ALTER SYSTEM SET wal_consistency_checking = 'all'" "ALTER SYSTEM SET trace_sort = on" \
        "SELECT pg_reload_conf()" >/dev/null
    local quick
    load_and_look on 0 "a load, with each page compared"
    quick=$(index_pages)
    on "$primary" "SELECT FROM train_als(factors => 8, iterations => 1)"
    caught_up "a training, with each page compared"

    # One worker loads the rows in a fixed order. From them, PostgreSQL's own index build gives the same indexes, byte by byte.
    on "$primary" "SELECT netflix_reset()" "ALTER SYSTEM SET wal_consistency_checking = ''" "SELECT pg_reload_conf()" >/dev/null
    load_and_look off 2 "a load with PostgreSQL's own index build"
    same "the index pages of the quick build and of PostgreSQL's build" "$quick" "$(index_pages)"

    promote
    old_snapshot
}

# --- two servers ------------------------------------------------------------------------------------------------------

make_primary() {
    [ -f "$("$PG_CONFIG" --pkglibdir)/amcheck.so" ] || wrong "amcheck is not installed"
    mkdir -p "$primary"
    ln -s "$dir/pg" "$primary/pg"
    [ "$(id -u)" -ne 0 ] || chown postgres "$dir/replica"
    start_cluster "$primary" "wal_level = replica" "max_wal_senders = 4" "shared_buffers = 128MB" "fsync = off" \
        "checkpoint_timeout = 1h" "log_min_messages = log" "client_min_messages = warning"
    PGDATABASE=postgres on "$primary" "CREATE DATABASE warehouse"
    on "$primary" "CREATE EXTENSION netflix_rec" "CREATE EXTENSION amcheck" "CREATE EXTENSION pageinspect"
}

make_standby() {
    mkdir -m 700 "$standby"
    [ "$(id -u)" -ne 0 ] || chown postgres "$standby"
    ln -s "$dir/pg" "$standby/pg"
    (cd / && as_server "$bin/pg_basebackup" -h "$(socket_dir "$primary")" -p "$socket_port" -U postgres -D "$standby/data" \
        -R -c fast -X stream)
    start_cluster "$standby"
}

# control SERVER ARGUMENT ...: runs pg_ctl for this server.
control() { (cd / && as_server "$bin/pg_ctl" -D "$1/data" -w -t 60 "${@:2}" >/dev/null); }

clean_up() {
    local server
    for server in "$standby" "$primary"; do
        [ ! -f "$server/data/postmaster.pid" ] || control "$server" stop -m immediate || true
    done
    rm -rf "$dir/replica"
}

# --- comparing --------------------------------------------------------------------------------------------------------

# caught_up WHAT: waits until the standby has replayed all WAL, and compares it with the primary.
caught_up() {
    local until=$((SECONDS + 60)) end
    end=$(on "$primary" "SELECT pg_current_wal_flush_lsn()")
    until [ "$(on "$standby" "SELECT pg_last_wal_replay_lsn() >= '$end'")" = t ]; do
        is_running "$standby" || wrong "$1: the standby has ended: $(tail -n 5 "$standby/log")"
        [ $SECONDS -lt $until ] || wrong "$1: the standby does not catch up"
        sleep 0.1
    done
    ! grep -i 'inconsistent page\|PANIC\|FATAL.*redo' "$standby/log" || wrong "$1: the standby has logged an error"
    whole "$primary" bt_index_parent_check
    # bt_index_parent_check needs a lock that a standby cannot take. It is called after the standby's promotion.
    whole "$standby" bt_index_check
    same "$1: rows" "$(rows "$primary")" "$(rows "$standby")"
    say "$1: the same rows on the standby"
}

# whole SERVER FUNCTION: checks that each index matches its table, by this function of amcheck, and that no table is damaged.
whole() {
    local arguments="indexrelid, true" damage
    [ "$2" != bt_index_parent_check ] || arguments+=", true"
    damage=$(on "$1" "
        SELECT $2($arguments) FROM pg_index JOIN pg_class c ON c.oid = indexrelid JOIN pg_am a ON a.oid = relam
        WHERE amname = 'btree' AND relnamespace = 'public'::regnamespace" \
        "SELECT relname, v FROM pg_class, LATERAL verify_heapam(oid, check_toast => true) v
        WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace" | grep . || true)
    [ -z "$damage" ] || wrong "$1 is damaged: $damage"
    [ "$(on "$1" "SELECT count(*) FROM pg_index WHERE NOT (indisvalid AND indisready AND indislive)")" = 0 ] ||
        wrong "$1 has indexes that are not in use"
}

# Prints the name, number of rows and digest of every table.
rows() {
    local table
    for table in $(on "$1" "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY 1"); do
        on "$1" "SELECT '$table', count(*), sum(hash_record_extended(t, 0)) FROM (SELECT * FROM $table) t" 2>/dev/null ||
            on "$1" "SELECT '$table', count(*), sum(hashtextextended(t::text, 0)) FROM $table t"
    done
}

# Prints a digest of each index of fact_ratings: of its pages, without their LSN and checksum.
index_pages() {
    on "$primary" "
        SELECT indexrelid::regclass, count(*), md5(string_agg(md5(overlay(get_raw_page(indexrelid::regclass::text, n)
                   PLACING '\\x00000000000000000000' FROM 1)), '' ORDER BY n))
        FROM pg_index, generate_series(0, pg_relation_size(indexrelid) / 8192 - 1) n
        WHERE indrelid = 'fact_ratings'::regclass GROUP BY indexrelid ORDER BY 1"
}

# load_and_look QUICK SORTS WHAT: loads with one worker and quick_index_build = QUICK. Checks that PostgreSQL sorted for SORTS
# indexes.
load_and_look() {
    local before sorts
    before=$(grep -c 'begin index sort: unique = t' "$primary/log" || true)
    PGOPTIONS+=" -c netflix_rec.quick_index_build=$1" on "$primary" "SELECT FROM netflix_load('$fixtures/interrupted', 1)"
    sorts=$(($(grep -c 'begin index sort: unique = t' "$primary/log" || true) - before))
    [ $sorts = "$2" ] || wrong "$3: PostgreSQL sorted for $sorts indexes, not for $2"
    caught_up "$3"
}

# --- the tests --------------------------------------------------------------------------------------------------------

serves_but_does_not_train() {
    local asked="SELECT * FROM unnest((SELECT array_agg(customer_id) FROM (SELECT customer_id FROM dim_customer ORDER BY 1 LIMIT 50) c))
                 AS customer, LATERAL recommend(customer, 10)" function
    [ "$(on "$standby" "$asked" | wc -l)" = 500 ] || wrong "the standby does not recommend"
    same "recommendations" "$(on "$primary" "$asked")" "$(on "$standby" "$asked")"
    on "$standby" "SELECT FROM evaluate()" "SELECT FROM similar_movies((SELECT min(movie_id) FROM dim_movie))"
    same "an estimate on the standby" t "$(on "$standby" "SELECT bytes > 0 FROM train_estimate('als')")"
    for function in "train_als()" "netflix_load('$fixtures/tiny')" "ratings_load('SELECT')" "netflix_reset()" \
        "add_rating(1, 1, 5, '2005-01-01')" "netflix_load_abandon()" "netflix_restore_begin()" "drop_model('als')" "deploy_model('als')"; do
        same "the standby, asked for $function" "ERROR:  25006" "$(told "$standby" "SELECT FROM $function")"
    done
    say "the standby recommends and does not train"
}

# The primary is stopped without a checkpoint. When it starts, it recovers everything that was loaded from its own WAL.
crash() {
    local before
    before=$(rows "$primary")
    control "$primary" stop -m immediate
    start_cluster "$primary"
    grep -q 'redo done at' "$primary/log" || wrong "the primary did no recovery, so the test would prove nothing"
    whole "$primary" bt_index_parent_check
    same "rows after a crash" "$before" "$(rows "$primary")"
    say "after a crash: the same rows"
}

promote() {
    control "$standby" promote
    whole "$standby" bt_index_parent_check
    on "$standby" "SELECT FROM train_als(factors => 8, iterations => 1)"
    say "the promoted standby has no damage and trains"
}

# A snapshot that is older than old_snapshot_threshold may miss rows that VACUUM has removed. PostgreSQL raises an error then, and
# so must the extension, which reads pages directly. (With a threshold of 0, snapshots are too old after five seconds.)
old_snapshot() {
    local call answers
    [ "$(on "$primary" "SELECT count(*) FROM pg_settings WHERE name = 'old_snapshot_threshold'")" = 1 ] || return 0
    on "$primary" "SELECT FROM train_als(factors => 2, iterations => 1)" "ALTER SYSTEM SET old_snapshot_threshold = 0"
    control "$primary" restart -m fast
    call="PGHOST=$(socket_dir "$primary") $bin/psql -X -q -c"
    answers=$(PGHOST=$(socket_dir "$primary") timeout 120 "$bin/psql" -X -q -At -v VERBOSITY=sqlstate 2>&1 <<SQL
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT FROM dim_date LIMIT 1;
\! $call 'DELETE FROM fact_ratings WHERE customer_key % 2 = 0'
SELECT FROM pg_sleep(6);
\! $call 'VACUUM fact_ratings'
SAVEPOINT s;
SELECT count(*) FROM fact_ratings;
ROLLBACK TO s;
SELECT FROM evaluate();
ROLLBACK TO s;
SELECT FROM train_als(factors => 2, iterations => 1);
SQL
    )
    same "errors with a snapshot that is too old" "$(printf 'ERROR:  72000\nERROR:  72000\nERROR:  72000')" "$answers"
    say "a snapshot that is too old: refused"
}

main
