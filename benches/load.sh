#!/usr/bin/env bash
# Measures how long netflix_load takes from raw files to tables with indexes and constraints. The peer is PostgreSQL's own COPY of
# the same rows, which already have their keys, and then the building of keys and foreign keys. No loader that goes through SQL can
# be faster than this peer. Also measures how long one rating takes in a warehouse of that size, by add_rating, by ratings_load and
# by a plain INSERT.
#
# usage: load.sh [RATINGS ...]     default: 1000000 10000000 100480507; the last one is the size of the Prize's data set
#
#   WORKERS=2       background workers         BENCH=/var/tmp/netflix_rec_bench    folder for samples and cluster
#
# The full size needs 40 GB of disk. Prints a table in Markdown. README.md has the table that it printed last.
set -euo pipefail
cd "$(dirname "$0")/.."
. benches/warehouse.sh

workers=${WORKERS:-2}
sizes=("$@")
[ ${#sizes[@]} -gt 0 ] || sizes=(1000000 10000000 100480507)

main() {
    local size
    start_warehouse
    : >"$dir/singles"
    printf '%s workers\n\n' "$workers"
    echo "| ratings | load s | µs a rating | read | insert | index, count | rest | workers' memory MB | peer s | copy | keys | foreign keys | load / peer |"
    echo "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
    for size in "${sizes[@]}"; do measure "$size"; done
    printf '\n| ratings | one rating by | median ms | p99 ms |\n| ---: | --- | ---: | ---: |\n'
    cat "$dir/singles"
}

measure() {
    local ratings=$1 sample
    sample=$(sample "$1")
    local name
    for name in loaded copied; do
        query postgres "DROP DATABASE IF EXISTS $name"
        query postgres "CREATE DATABASE $name"
    done
    query loaded "CREATE EXTENSION netflix_rec"
    # Both begin with the files in the system's cache and with no dirty pages left to write.
    cat "$sample"/*.txt "$sample"/*/*.txt >/dev/null
    query postgres CHECKPOINT
    sync

    local started ended
    watch_load &
    local watcher=$!
    started=$(now)
    PGOPTIONS="-c client_min_messages=warning" query loaded "SELECT FROM netflix_load('$sample', workers => $workers)"
    ended=$(now)
    wait $watcher
    local load=$(calculate "$ended - $started") read insert index memory
    read -r read insert index memory <"$dir/phases"
    single "$ratings" add_rating "SELECT FROM add_rating(%d, (SELECT movie_id FROM dim_movie WHERE movie_key = 1), 4, '2005-05-05')"
    single "$ratings" ratings_load "SELECT FROM ratings_load('SELECT %d AS customer_id, movie_id, 4 AS rating, date ''2005-05-05'' AS rated_on
                                                              FROM dim_movie WHERE movie_key = 2')"
    single "$ratings" INSERT "INSERT INTO fact_ratings (customer_key, movie_key, date_key, rating, is_probe)
                              SELECT customer_key, 3, 20050505, 4, false FROM dim_customer WHERE customer_id = %d ON CONFLICT DO NOTHING"
    query loaded "DELETE FROM fact_ratings WHERE customer_key > (SELECT last_customer_key FROM load_run ORDER BY run_id LIMIT 1)"

    # The rows for the peer: with their keys, in the same order.
    query loaded "COPY (SELECT rating_key, customer_key, movie_key, date_key, rating FROM fact_ratings ORDER BY rating_key) TO STDOUT (FORMAT csv)" >"$dir/fact.csv"
    query postgres "DROP DATABASE loaded"
    cat "$dir/fact.csv" >/dev/null
    query postgres CHECKPOINT
    sync
    query copied "CREATE TABLE fact (rating_key int NOT NULL, customer_key int NOT NULL, movie_key int NOT NULL, date_key int NOT NULL, rating smallint NOT NULL)"
    local copy keys foreign
    copy=$(seconds "\\copy fact FROM '$dir/fact.csv' (FORMAT csv)")
    rm "$dir/fact.csv"
    keys=$(seconds "ALTER TABLE fact ADD PRIMARY KEY (rating_key)" "CREATE UNIQUE INDEX ON fact (customer_key, movie_key)")
    foreign=$(seconds "CREATE TABLE dc AS SELECT DISTINCT customer_key FROM fact" "ALTER TABLE dc ADD PRIMARY KEY (customer_key)" \
        "CREATE TABLE dm AS SELECT DISTINCT movie_key FROM fact" "ALTER TABLE dm ADD PRIMARY KEY (movie_key)" \
        "ALTER TABLE fact ADD FOREIGN KEY (customer_key) REFERENCES dc" "ALTER TABLE fact ADD FOREIGN KEY (movie_key) REFERENCES dm")
    query postgres "DROP DATABASE copied"
    local peer=$(calculate "$copy + $keys + $foreign")
    printf '| %d | %.1f | %.2f | %.1f | %.1f | %.1f | %.1f | %d | %.1f | %.1f | %.1f | %.1f | %.2f |\n' "$ratings" "$load" \
        "$(calculate "$load * 1000000 / $ratings")" "$read" "$insert" "$index" "$(calculate "$load - $read - $insert - $index")" "$memory" \
        "$peer" "$copy" "$keys" "$foreign" "$(calculate "$load / $peer")"
}

# single RATINGS NAME STATEMENT: measures the statement for each of 200 new customers (%d), after ten that are not counted. Appends
# a row of the second table to $dir/singles.
single() {
    python3 - "$(socket_dir "$dir")" "$socket_port" "$@" >>"$dir/singles" <<'PYTHON'
import subprocess, sys, time

socket, port, ratings, name, statement = sys.argv[1:]
psql = subprocess.Popen(
    ["psql", "-X", "-q", "-At", "-v", "ON_ERROR_STOP=1", "-h", socket, "-p", port, "-U", "postgres", "-d", "loaded"],
    stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
times = []
for number in range(210):
    started = time.perf_counter()
    psql.stdin.write(statement.replace("%d", str(2_000_000_000 + number)).replace("\n", " ") + ";\n\\echo .\n")
    while (line := psql.stdout.readline()) != ".\n":
        if not line:
            sys.exit("psql has ended")
    times.append(1000 * (time.perf_counter() - started))
times = sorted(times[10:])
print(f"| {ratings} | {name} | {times[len(times) // 2]:.2f} | {times[len(times) * 99 // 100]:.2f} |")
PYTHON
}

# seconds STATEMENT ...: runs the statements in order, each in a transaction of its own, and prints how long all took.
seconds() {
    local started statement
    started=$(now)
    for statement in "$@"; do query copied "$statement"; done
    calculate "$(now) - $started"
}

# Writes to $dir/phases how long each phase took, and the peak of the anonymous memory of all the load's processes together.
watch_load() {
    python3 - "$(socket_dir "$dir")" "$socket_port" >"$dir/phases" <<'PYTHON'
import re, subprocess, sys, time

psql = subprocess.Popen(
    ["psql", "-X", "-q", "-At", "-h", sys.argv[1], "-p", sys.argv[2], "-U", "postgres", "-d", "loaded"],
    stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)

def ask(query):
    psql.stdin.write(query + ";\n\\echo .\n")
    psql.stdin.flush()
    rows = []
    while (row := psql.stdout.readline()) != ".\n":
        if not row:
            sys.exit("psql has ended")
        rows.append(row.rstrip("\n").split("|"))
    return rows

def anonymous(pid):
    try:
        return int(re.search(r"RssAnon:\s*(\d+)", open(f"/proc/{pid}/status").read())[1])
    except (OSError, TypeError):
        return 0

phases, memory, seen, started = {}, 0, False, time.time()
last = started
while seen or time.time() < started + 60:
    rows = ask("SELECT pid, phase FROM netflix_progress")
    now = time.time()
    if not rows and seen:
        break
    if rows:
        seen = True
        phases[rows[0][1]] = phases.get(rows[0][1], 0) + now - last
        pids = ask("SELECT pid FROM pg_stat_activity WHERE backend_type = 'netflix_load'") + [rows[0]]
        memory = max(memory, sum(anonymous(row[0]) for row in pids))
    last = now
    time.sleep(0.05)
print(*(round(phases.get(name, 0), 2) for name in ("reading files", "loading ratings", "building indexes")), memory // 1024)
PYTHON
}

main
