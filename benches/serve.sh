#!/usr/bin/env bash
# Measures the time and memory of recommendations from a trained model: one after the other in one session; the first in a new
# session; in two sessions at once; and for all customers. The peers are plain SQL and pgvector.
#
# usage: serve.sh [RATINGS]     default: 100480507, the size of the Prize's data set
#
#   FACTORS=50    SECONDS_EACH=20    CALLS=1000000    PGVECTOR=(folder of pgvector's source)    BENCH=/var/tmp/netflix_rec_bench
#
# Calls are for random customers, whose rows may be in PostgreSQL's shared buffers, in the system's cache, or in neither. The full
# size needs 25 GB of disk. At the end, one session makes CALLS calls, to show whether its memory grows; with CALLS=0 it makes none.
# Prints tables in Markdown. README.md has the tables that it printed last.
set -euo pipefail
cd "$(dirname "$0")/.."
. benches/warehouse.sh

ratings=${1:-100480507}
factors=${FACTORS:-50}
seconds=${SECONDS_EACH:-20}
calls=${CALLS:-1000000}

main() {
    start_warehouse
    work=$(mktemp -d)
    trap 'rm -rf "$work"; stop_cluster "$dir"' EXIT
    say "loading and training"
    PGOPTIONS="-c client_min_messages=warning" query postgres "DROP DATABASE IF EXISTS served"
    query postgres "CREATE DATABASE served"
    query served "CREATE EXTENSION netflix_rec"
    PGOPTIONS="-c client_min_messages=warning" query served "SELECT FROM netflix_load('$(sample "$ratings")')"
    PGOPTIONS="-c client_min_messages=warning" query served "SELECT FROM train_als(factors => $factors, iterations => 2, regularization => 0.045)"
    # Autovacuum would do this later.
    query served "VACUUM ANALYZE"
    query postgres CHECKPOINT
    customers=$(query served "SELECT max(customer_key) FROM dim_customer")
    printf '%s factors, %s customers, %s movies\n\n' "$factors" "$customers" "$(query served 'SELECT count(*) FROM movie_factors')"
    other_ways
    echo "| what | sessions | calls | median ms | p99 ms | a second |"
    echo "| --- | ---: | ---: | ---: | ---: | ---: |"
    hammer "recommend(c, 10)" 1 prepared "SELECT * FROM recommend(:c, 10);"
    hammer "recommend(c, 10)" 2 prepared "SELECT * FROM recommend(:c, 10);"
    hammer "recommend(c, 10, min_year => 1990, min_ratings => 1000)" 1 prepared "SELECT * FROM recommend(:c, 10, min_year => 1990, min_ratings => 1000);"
    hammer "recommend(0, 10): not in the data" 1 prepared "SELECT * FROM recommend(0, 10);"
    hammer "recommend_users(m, 10)" 1 prepared "\\set m random(1, 17770)
SELECT * FROM recommend_users(:m, 10);"
    hammer "similar_customers(c, 10)" 1 prepared "SELECT * FROM similar_customers(:c, 10);"
    hammer "predict_rating(c, m)" 1 prepared "\\set m random(1, 17770)
SELECT * FROM predict_rating(:c, :m);"
    hammer "similar_movies(m, 10)" 1 prepared "\\set m random(1, 17770)
SELECT * FROM similar_movies(:m, 10);"
    hammer "explain(c, m)" 1 prepared "\\set m random(1, 17770)
SELECT * FROM explain(:c, :m);"
    hammer "dot products of arrays in SQL" 2 prepared "$(in_sql)"
    [ -z "${PGVECTOR:-}" ] || hammer "pgvector, exact" 2 prepared "$(by_pgvector)"
    echo
    first_calls
    everybody
    [ "$calls" -eq 0 ] || many_calls
    echo
    : >"$dir/cancels.md"
    cancels served "$ratings" "SELECT count(*) FROM recommend_all(10)" 12
    cancels served "$ratings" "SELECT version FROM import_model((SELECT export_model()), 'again')" 12
    cancels served "$ratings" "SELECT version FROM drop_model('als', force => true)" 4
    cancels_table
}

# hammer NAME SESSIONS MODE SCRIPT: prints a row of the table. The latencies are those that pgbench logs for each call.
hammer() {
    local count
    # A random key, and the id of this customer. The lookup of the id is part of the measured time.
    { printf '\\set k random(1, %s)\n' "$customers"; printf '%s\n' "${4//:c/(SELECT customer_id FROM dim_customer WHERE customer_key = :k)}"; } >"$work/script.sql"
    # A first run fills the caches.
    bench -n -M "$3" -c "$2" -j "$2" -T 2 -f "$work/script.sql" >/dev/null
    rm -f "$work"/log.*
    bench -n -M "$3" -c "$2" -j "$2" -T "$seconds" -l --log-prefix="$work/log" -f "$work/script.sql" >"$work/out"
    cat "$work"/log.* | awk '{ print $3 }' | sort -n >"$work/sorted"
    count=$(wc -l <"$work/sorted")
    awk -v n="$count" -v name="$1" -v sessions="$2" -v seconds="$seconds" '
        NR == int((n + 1) / 2) { median = $1 } NR == int(n * 0.99 + 0.5) { p99 = $1 }
        END { printf "| %s | %d | %d | %.3f | %.3f | %.0f |\n", name, sessions, n, median / 1000, p99 / 1000, n / seconds }' "$work/sorted"
}

bench() { PGUSER=postgres "$dir/pg$("$PG_CONFIG" --bindir)/pgbench" -h "$(socket_dir "$dir")" -p "$socket_port" "$@" served; }

# Copies the factors to a table for pgvector.
other_ways() {
    [ -n "${PGVECTOR:-}" ] || return 0
    say "building pgvector"
    make -C "$PGVECTOR" OPTFLAGS="-march=native" PG_CONFIG="$PGRX_PG_CONFIG_PATH" >"$dir/pgvector.log" 2>&1
    make -C "$PGVECTOR" install PG_CONFIG="$PGRX_PG_CONFIG_PATH" >>"$dir/pgvector.log" 2>&1
    query served "CREATE EXTENSION vector"
    # The movie's bias is one more element of its vector. In the customer's vector, this element is 1.
    query served "CREATE TABLE movie_vector AS SELECT movie_key, (factors || bias)::vector($((factors + 1))) AS v FROM movie_factors WHERE model_id = model_id()"
    query served "ALTER TABLE movie_vector ALTER v SET STORAGE PLAIN"
    query served "VACUUM ANALYZE movie_vector"
}

# The query for the same list in plain SQL: a sum of products over both arrays.
in_sql() {
    cat <<SQL
WITH c AS MATERIALIZED (SELECT customer_key, bias, factors FROM customer_factors WHERE customer_key = :k AND model_id = model_id())
SELECT m.movie_id, m.title, m.release_year, s.score
FROM (SELECT f.movie_key, c.bias + f.bias + (SELECT sum(p * q) FROM unnest(c.factors, f.factors) AS pair (p, q)) AS score
      FROM c, movie_factors f
      WHERE f.model_id = model_id() AND NOT EXISTS (SELECT FROM fact_ratings r WHERE r.customer_key = c.customer_key AND r.movie_key = f.movie_key)
      ORDER BY score DESC LIMIT 10) s
JOIN dim_movie m USING (movie_key) ORDER BY score DESC;
SQL
}

by_pgvector() {
    cat <<SQL
SELECT m.movie_id, m.title, m.release_year, s.score
FROM (SELECT v.movie_key, v.v <#> (SELECT (factors || 1::real)::vector($((factors + 1))) FROM customer_factors WHERE customer_key = :k AND model_id = model_id()) AS score
      FROM movie_vector v
      WHERE NOT EXISTS (SELECT FROM fact_ratings r WHERE r.customer_key = :k AND r.movie_key = v.movie_key)
      ORDER BY score LIMIT 10) s
JOIN dim_movie m USING (movie_key) ORDER BY score;
SQL
}

# Measures the first recommendation of a session, without connecting, and how much it adds to the session's memory.
first_calls() {
    python3 - "$(socket_dir "$dir")" "$socket_port" "$customers" <<'PYTHON'
import random, re, statistics, subprocess, sys

socket, port, customers = sys.argv[1:]
times, grown = [], []
for attempt in range(21):
    psql = subprocess.Popen(["psql", "-X", "-q", "-At", "-h", socket, "-p", port, "-U", "postgres", "-d", "served"],
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
    def ask(text):
        psql.stdin.write(text + "\n")
        return psql.stdout.readline().strip()
    pid = ask("SELECT pg_backend_pid();")
    anonymous = lambda: int(re.search(r"RssAnon:\s*(\d+)", open(f"/proc/{pid}/status").read())[1]) / 1024
    customer = ask(f"SELECT customer_id FROM dim_customer WHERE customer_key = {random.randint(1, int(customers))};")
    before = anonymous()
    psql.stdin.write("\\timing on\n")
    ask(f"SELECT count(*) FROM recommend({customer}, 10);")
    times.append(float(re.search(r"([\d.]+) ms", psql.stdout.readline())[1]))
    grown.append(anonymous() - before)
    psql.stdin.write("\\q\n")
    psql.wait()
print(f"First call of a session: median {statistics.median(times):.1f} ms, at most {max(times):.1f} ms of {len(times)}; "
      f"its memory grows by {statistics.median(grown):.1f} MB.\n", flush=True)
PYTHON
}

everybody() {
    python3 - "$(socket_dir "$dir")" "$socket_port" <<'PYTHON'
import re, subprocess, sys, threading, time

socket, port = sys.argv[1:]
for call in ("recommend_all(10)", "recommend_all(10, remove_seen => false)"):
    psql = subprocess.Popen(["psql", "-X", "-q", "-At", "-h", socket, "-p", port, "-U", "postgres", "-d", "served"],
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
    psql.stdin.write("SELECT pg_backend_pid();\n")
    pid, most = psql.stdout.readline().strip(), 0
    ended = threading.Event()
    def watch():
        global most
        while not ended.is_set():
            try:
                most = max(most, int(re.search(r"RssAnon:\s*(\d+)", open(f"/proc/{pid}/status").read())[1]) // 1024)
            except (OSError, TypeError):
                return
            time.sleep(0.05)
    threading.Thread(target=watch, daemon=True).start()
    started = time.time()
    psql.stdin.write(f"SELECT count(*) FROM {call};\n")
    lines = psql.stdout.readline().strip()
    seconds = time.time() - started
    ended.set()
    psql.stdin.write("\\q\n")
    psql.wait()
    print(f"{call}: {seconds:.1f} s, {lines} lines, {most} MB.\n", flush=True)
PYTHON
}

# Shows whether the memory of a session grows over many calls.
many_calls() {
    python3 - "$(socket_dir "$dir")" "$socket_port" "$customers" "$calls" <<'PYTHON'
import re, subprocess, sys, time

socket, port, customers, calls = sys.argv[1:]
psql = subprocess.Popen(["psql", "-X", "-q", "-At", "-h", socket, "-p", port, "-U", "postgres", "-d", "served"],
                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
def ask(text):
    psql.stdin.write(text + "\n")
    return psql.stdout.readline().strip()
pid = ask("SELECT pg_backend_pid();")
anonymous = lambda: int(re.search(r"RssAnon:\s*(\d+)", open(f"/proc/{pid}/status").read())[1]) / 1024
parts, sizes, started = 10, [], time.time()
for part in range(parts):
    # Each statement makes a thousand calls, so that there are many statements, as over a day.
    for _ in range(int(calls) // parts // 1000):
        ask(f"SELECT count(*) FROM (SELECT customer_id FROM dim_customer WHERE customer_key IN (SELECT 1 + (random() * ({customers} - 1))::int FROM generate_series(1, 1000))) c, LATERAL recommend(c.customer_id, 10);")
    sizes.append(anonymous())
print(f"{calls} calls through one session in {time.time() - started:.0f} s; its memory after each tenth, MB: "
      + " ".join(f"{size:.1f}" for size in sizes), flush=True)
psql.stdin.write("\\q\n")
psql.wait()
PYTHON
}

main
