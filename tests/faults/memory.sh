#!/usr/bin/env bash
# Tests calls while the operating system refuses memory. Each must give the right answer, or an error that says why. The session
# must be usable afterwards. No backend may abort, because the server would then end all sessions.
#
# usage: memory.sh DIR [LIMITS [CALL ...]]
#
# DIR is the folder of a running cluster of scripts/cluster.sh that has the extension. Needs PG_CONFIG. Each call is made once for
# each of LIMITS, in a backend whose address space may grow by this number of megabytes. LIMITS is "2 5 10 20 40" by default; for
# many limits, use "$(seq -s ' ' 2 2 60)". CALL names calls; by default, all are made.
set -euo pipefail
# cluster.sh unsets the settings of the caller's shell for other servers.
. "$(dirname "$0")/../../scripts/cluster.sh"
export LC_ALL=C
dir=$1
read -ra limits <<<"${2:-2 5 10 20 40}"
export PGHOST=$(socket_dir "$dir") PGPORT=$socket_port PGUSER=postgres PGDATABASE=memory
export PGOPTIONS="-c client_min_messages=error -c netflix_rec.threads=2"
ask() { psql -X -q -At -v ON_ERROR_STOP=1 -c "$1"; }
wrong() { printf 'FAILED: %s\n' "$*" >&2; exit 1; }

# Each call returns a single value, always the same.
declare -A calls=(
    [recommend]="SELECT sum(hashtext(r::text)) FROM recommend(7, 300) r"
    [recommend_filtered]="SELECT sum(hashtext(r::text)) FROM recommend(7, 300, min_ratings => 2, exclude_movie_ids => ARRAY[1, 2]) r"
    [recommend_bayesian]="SELECT sum(hashtext(r::text)) FROM recommend(7, 300, 'bpmf', lower_bound => 1) r"
    [recommend_new]="SELECT sum(hashtext(r::text)) FROM recommend(1000000, 300) r"
    [recommend_all]="SELECT sum(hashtext(r::text)) FROM recommend_all(500) r"
    [recommend_some]="SELECT sum(hashtext(r::text)) FROM recommend_all(5, customer_ids => ARRAY(SELECT g % 1500 FROM generate_series(1, 3000) g)) r"
    [recommend_for]="SELECT sum(hashtext(r::text)) FROM recommend_for(ARRAY(SELECT generate_series(1, 400)), array_fill(4::real, ARRAY[400]), 300) r"
    [recommend_for_svdpp]="SELECT sum(hashtext(r::text)) FROM recommend_for(ARRAY[1, 2, 3], ARRAY[1, 5, 3], 300, 'svdpp') r"
    [recommend_users]="SELECT sum(hashtext(r::text)) FROM recommend_users(7, 1000) r"
    [similar_movies]="SELECT sum(hashtext(r::text)) FROM similar_movies(7, 300) r"
    [similar_customers]="SELECT sum(hashtext(r::text)) FROM similar_customers(7, 1000) r"
    [predict_rating]="SELECT sum(hashtext(r::text)) FROM predict_rating(7, 7) r"
    [explain]="SELECT sum(hashtext(r::text)) FROM explain(7, 7) r"
    [refresh_customer]="SELECT sum(hashtext(r::text)) FROM refresh_customer(7) r"
    [export_model]="SELECT md5(export_model('als'))"
    [export_bayesian]="SELECT md5(export_model('bpmf'))"
    [import_model]="SELECT customers FROM shipped, import_model(archive, 'imported')"
    [evaluate]="SELECT rmse FROM evaluate('als', 'all')"
    [train_estimate]="SELECT bytes FROM train_estimate('als')"
    [train_als]="SELECT train_rmse FROM train_als(factors => 64, iterations => 1)"
    [train_als_implicit]="SELECT train_rmse FROM train_als(factors => 64, iterations => 1, implicit_weight => 1)"
    [train_svd]="SELECT train_rmse FROM train_svd(factors => 64, iterations => 1)"
    [train_svdpp]="SELECT train_rmse FROM train_svdpp(factors => 16, iterations => 1)"
    [train_bpmf]="SELECT train_rmse FROM train_bpmf(factors => 8, samples => 5, burn_in => 1)"
    [train_truncated_svd]="SELECT train_rmse FROM train_truncated_svd(factors => 50)"
    [train_baseline]="SELECT train_rmse FROM train_baseline()"
    [ratings_load]="SELECT ratings_loaded FROM ratings_load('SELECT c AS customer_id, 1000 + m AS movie_id, 3 AS rating, DATE ''2006-01-01'' AS rated_on FROM generate_series(1, 2000) c, generate_series(1, 20) m')"
    [graph_project_movies]="SELECT edges FROM graph_project_movies('new', min_common => 5, top_k => 1000)"
    [graph_project_customers]="SELECT edges FROM graph_project_customers('new', 1, 'jaccard', min_common => 5, top_k => 20)"
    [graph_project_model]="SELECT edges FROM graph_project_model('new', 'als', top_k => 200)"
    [graph_project_sql]="SELECT edges FROM graph_project_sql('new', 'SELECT a AS from_id, a * b % 5000 AS to_id FROM generate_series(1, 5000) a, generate_series(1, 10) b')"
    [graph_backbone]="SELECT edges FROM graph_backbone('movies', 'new', 0.9)"
    [graph_pagerank]="SELECT sum(round(1e9 * score)) FROM graph_pagerank('customers')"
    [graph_betweenness]="SELECT sum(round(1e9 * score)) FROM graph_betweenness('customers', k => 100)"
    [graph_betweenness_weighted]="SELECT sum(round(1e9 * score)) FROM graph_betweenness('movies', weighted => true)"
    [graph_closeness]="SELECT sum(round(1e9 * closeness)) FROM graph_closeness('customers')"
    [graph_clustering]="SELECT sum(triangles) FROM graph_clustering('customers')"
    [graph_leiden]="SELECT sum(community * node_id) FROM graph_leiden('customers')"
    [graph_label_propagation]="SELECT sum(community * node_id) FROM graph_label_propagation('customers')"
    [graph_communities]="SELECT sum(size) FROM graph_communities('customers', titles => 1000)"
    [graph_store_communities]="SELECT communities FROM graph_store_communities('customers', partition => 'SELECT g AS node_id, g % 700 AS community FROM generate_series(1, 1500) g')"
    [chart_ratings]="SELECT md5(chart_rating_distribution() || chart_ratings_by_month() || chart_rating_counts())"
    [chart_factor_map]="SELECT md5(chart_factor_map('als'))"
    [chart_network]="SELECT md5(chart_network('movies', top_n => 300))"
    [netflix_report]="SELECT netflix_report(quality => false) LIKE '%</html>'"
    [drop_model]="SELECT version FROM drop_model('als', force => true)"
)

main() {
    PGDATABASE=postgres ask "DROP DATABASE IF EXISTS memory"
    PGDATABASE=postgres ask "CREATE DATABASE memory"
    make_database
    make_limit
    local log_before name tried=0 refused=0 bad=0
    local names=("${@:3}")
    [ ${#names[@]} -gt 0 ] || mapfile -t names < <(printf '%s\n' "${!calls[@]}" | sort)
    log_before=$(wc -l <"$dir/log")
    for name in "${names[@]}"; do try_call "$name"; done
    ! tail -n +"$((log_before + 1))" "$dir/log" | grep -c 'terminated by signal\|PANIC' >/dev/null || bad=$((bad + 1))
    printf '%s calls, %s of them refused for lack of memory (SQLSTATE 53...)\n' "$tried" "$refused"
    [ "$bad" -eq 0 ] || wrong "$bad wrong answers or crashes"
    # With fewer refused calls, or with all refused, the test would prove nothing.
    [ "$refused" -ge "$((${#names[@]} / 2))" ] && [ "$refused" -lt "$tried" ] || wrong "the limits were too high or too low"
}

make_database() {
    psql -X -q -v ON_ERROR_STOP=1 >/dev/null <<'SQL'
CREATE EXTENSION netflix_rec;
SELECT FROM ratings_load($$
    SELECT c AS customer_id, m AS movie_id, 1 + (c * 7 + m * 13 + c * m) % 5 AS rating, DATE '2005-01-01' + m % 300 AS rated_on
    FROM generate_series(1, 1500) c, generate_series(1, 600) m WHERE (c * 31 + m * 17) % 5 = 0
$$);
SELECT FROM train_bpmf(factors => 16, samples => 40, burn_in => 1);
SELECT FROM train_svdpp(factors => 16, iterations => 1);
SELECT FROM train_als(factors => 64, iterations => 2);
SELECT FROM graph_project_movies('movies', min_common => 5, top_k => 100);
SELECT FROM graph_project_customers('customers', 1, 'jaccard', min_common => 5, top_k => 100);
CREATE TABLE shipped AS SELECT export_model('als') AS archive;
SQL
}

make_limit() {
    cat >"$dir/limit.sh" <<'SH'
# limit.sh PID MEGABYTES: lets the address space of a process grow by this much at most.
size=$(awk '/^VmSize/ {print $2}' "/proc/$1/status")
prlimit --pid "$1" --as="$((size * 1024 + $2 * 1048576)):"
SH
    chmod 644 "$dir/limit.sh"
}

# Makes the call in a new backend for each limit. The transaction is rolled back, so that each call finds the same data.
try_call() { # try_call NAME
    local name=$1 call=${calls[$1]} right megabytes state value works last=none
    right=$(ask "BEGIN; $call; ROLLBACK")
    for megabytes in "${limits[@]}"; do
        cat <<SQL
\\c
LOAD 'netflix_rec';
SELECT pg_backend_pid() AS backend \\gset
\\setenv BACKEND :backend
\\set value -
\\set works -
BEGIN;
\\! sh "\$LIMIT" "\$BACKEND" $megabytes
SELECT ($call) AS value \\gset
\\set state :SQLSTATE
\\! prlimit --pid "\$BACKEND" --as=unlimited:
ROLLBACK;
SELECT count(*) AS works FROM recommend(7, 3) \\gset
\\echo $megabytes :state :value :works
SQL
    done >"$dir/memory.sql"
    as_server env PGHOST="$PGHOST" PGPORT="$PGPORT" PGUSER="$PGUSER" PGDATABASE="$PGDATABASE" PGOPTIONS="$PGOPTIONS" \
        LIMIT="$dir/limit.sh" psql -X -q -At -f "$dir/memory.sql" >"$dir/memory.out" 2>"$dir/memory.err" || true
    while read -r megabytes state value works; do
        last=$megabytes tried=$((tried + 1))
        case $state in
            00000) [ "$value" = "$right" ] || complain "$value, not $right" ;;
            53200 | 53400 | 53000) refused=$((refused + 1)) ;;
            *) complain "$state" ;;
        esac
        [ "$works" = 3 ] || complain "the session is not usable afterwards"
    done <"$dir/memory.out"
    [ "$last" = "${limits[-1]}" ] || {
        megabytes="more than $last"
        complain "the backend ended"
        # The server ends all sessions and restarts.
        until ask "SELECT 1" >/dev/null 2>&1; do sleep 0.1; done
    }
}

complain() {
    printf '%s at %s MB: %s\n' "$name" "$megabytes" "$1" >&2
    grep -v '^ *$' "$dir/memory.err" | sort | uniq -c | sed 's/^/    /' >&2
    bad=$((bad + 1))
}

main "$@"
