#!/usr/bin/env bash
# Measures graphs: projections of the ratings, measures and communities of the graph that comes out, beside NetworkX, igraph and
# NetworKit on the same edges; and the delay with which they stop.
#
# usage: graph.sh [RATINGS ...]     default: 1000000 10000000 100480507; the last one is the size of the Prize's data set
#
#   PEERS="networkx igraph networkit", or none     PEER_SECONDS=900 for each measure of a peer, at most     MEASURES="pagerank leiden", or
#   all     BENCH=/var/tmp/netflix_rec_bench
#
# Every time of ours is that of the SQL statement, so it includes reading the tables; peers have the graph in memory. The full size needs
# 25 GB of disk. Prints tables in Markdown. README.md has the tables that it printed last.
set -euo pipefail
cd "$(dirname "$0")/.."
. benches/warehouse.sh

peers=${PEERS-networkx igraph networkit}
peer_seconds=${PEER_SECONDS:-900}
sizes=("$@")
[ ${#sizes[@]} -gt 0 ] || sizes=(1000000 10000000 100480507)
settings="-c client_min_messages=warning -c netflix_rec.memory_limit=16GB -c netflix_rec.max_memory=16GB"

# What is measured, and the statement. Peers know these names.
read -ra measures <<<"${MEASURES-pagerank components core_number clustering closeness eigenvector leiden louvain label_propagation betweenness_1024 betweenness}"
declare -A statements=(
    [pagerank]="SELECT max(score) FROM graph_pagerank('movies')"
    [components]="SELECT max(component) FROM graph_components('movies')"
    [core_number]="SELECT max(core_number) FROM graph_core_number('movies')"
    [clustering]="SELECT avg(clustering) FROM graph_clustering('movies')"
    [closeness]="SELECT max(closeness) FROM graph_closeness('movies')"
    [eigenvector]="SELECT max(score) FROM graph_eigenvector('movies')"
    [leiden]="SELECT modularity FROM graph_store_communities('movies')"
    [louvain]="SELECT modularity FROM graph_store_communities('movies', 'louvain')"
    [label_propagation]="SELECT modularity FROM graph_store_communities('movies', 'label_propagation')"
    [betweenness_1024]="SELECT max(score) FROM graph_betweenness('movies', k => 1024)"
    [betweenness]="SELECT max(score) FROM graph_betweenness('movies')"
)

main() {
    start_warehouse
    printf '%s threads\n\n' "$(nproc)"
    : >"$dir/cancels.md"
    : >"$dir/measured.md"
    echo "| ratings | projection | edges | s | estimated s | peak MB | estimated MB |"
    echo "| ---: | --- | ---: | ---: | ---: | ---: | ---: |"
    local size
    for size in "${sizes[@]}"; do measure "$size"; done
    printf '\n| ratings | measure | program | s | answer |\n| ---: | --- | --- | ---: | ---: |\n'
    cat "$dir/measured.md"
    echo
    cancels_table
}

measure() {
    local ratings=$1 similarity name peer
    query postgres "DROP DATABASE IF EXISTS graphs"
    query postgres "CREATE DATABASE graphs"
    query graphs "CREATE EXTENSION netflix_rec"
    PGOPTIONS=$settings query graphs "SELECT FROM netflix_load('$(sample "$ratings")')"
    query postgres CHECKPOINT
    sync
    for similarity in pearson jaccard cosine llr; do projection "$ratings" "$similarity"; done
    PGOPTIONS=$settings query graphs "SELECT FROM graph_project_movies('movies')"
    query graphs "VACUUM ANALYZE"
    query graphs "\\copy (SELECT from_id, to_id, weight FROM graph_edges WHERE graph = 'movies') TO '$dir/edges.txt' (DELIMITER ' ')"
    [ -z "$peers" ] || install_graph_peers
    for name in "${measures[@]}"; do
        timed "${statements[$name]}"
        row "$ratings" "$name" netflix_rec "$seconds" "$answer"
        for peer in $peers; do peer_row "$ratings" "$name" "$peer"; done
    done
    cancels graphs "$ratings" "SELECT FROM graph_project_movies('again')" 6
    cancels graphs "$ratings" "SELECT FROM graph_betweenness('movies')" 4
    cancels graphs "$ratings" "SELECT FROM graph_leiden('movies')" 6
    query postgres "DROP DATABASE graphs"
}

# projection RATINGS SIMILARITY: time and memory of a projection in a new session. The peak leaves out what is shared.
projection() {
    local ratings=$1 similarity=$2 estimate edges started took peak
    estimate=$(PGOPTIONS=$settings query graphs "SELECT round(seconds::numeric, 1) || ' ' || (bytes >> 20) FROM graph_estimate(similarity => '$similarity')")
    started=$(now)
    edges=$(PGOPTIONS=$settings query graphs "SELECT edges FROM graph_project_movies('one', '$similarity')")
    took=$(printf '%.1f' "$(calculate "$(now) - $started")")
    PGOPTIONS=$settings query graphs "SELECT graph_drop('one')" >/dev/null
    peak=$(peak_memory "SELECT edges FROM graph_project_movies('one', '$similarity')")
    PGOPTIONS=$settings query graphs "SELECT graph_drop('one')" >/dev/null
    printf '| %s | %s | %s | %s | %s | %s | %s |\n' "$ratings" "$similarity" "$edges" "$took" "${estimate% *}" "$peak" "${estimate#* }"
}

# The most anonymous memory of a session while it runs a statement, in MB.
peak_memory() {
    local pid now_kb most=0
    PGOPTIONS=$settings query graphs "$1" >/dev/null &
    local client=$!
    sleep 0.3
    pid=$(query postgres "SELECT pid FROM pg_stat_activity WHERE datname = 'graphs' LIMIT 1")
    while [ -n "$pid" ] && now_kb=$(awk '/^RssAnon/ {print $2}' "/proc/$pid/status" 2>/dev/null) && [ -n "$now_kb" ]; do
        [ "$now_kb" -le "$most" ] || most=$now_kb
        sleep 0.05
    done
    wait "$client"
    echo $((most / 1024))
}

# timed QUERY: runs it three times, and sets `seconds` to the shortest time and `answer` to what it returned. A long one runs once.
timed() {
    local started each try
    seconds=
    for try in 1 2 3; do
        started=$(now)
        answer=$(PGOPTIONS=$settings query graphs "$1")
        each=$(printf '%.2f' "$(calculate "$(now) - $started")")
        [ -n "$seconds" ] && awk "BEGIN { exit !($seconds < $each) }" || seconds=$each
        ! awk "BEGIN { exit !($seconds > 5) }" || break
    done
}

peer_row() { # peer_row RATINGS MEASURE PEER
    local status=0 out
    out=$(timeout "$peer_seconds" "$dir/graph_python/bin/python3" benches/graph_peers.py "$dir/edges.txt" "$3" "$2" 2>"$dir/python.log") || status=$?
    case $status in
        0) [ -z "$out" ] || row "$1" "$2" "$3" ${out} ;;
        124) row "$1" "$2" "$3" "more than $peer_seconds" "" ;;
        *) tail -n 20 "$dir/python.log" >&2; exit 1 ;;
    esac
}

row() { printf '| %s | %s | %s | %s | %s |\n' "$1" "$2" "$3" "$4" "$(rounded "$5")" >>"$dir/measured.md"; }
rounded() { awk -v number="$1" 'BEGIN { if (number != "") printf "%.6g", number }'; }

install_graph_peers() {
    [ ! -x "$dir/graph_python/bin/python3" ] || return 0
    say "installing peers"
    python3 -m venv "$dir/graph_python"
    "$dir/graph_python/bin/pip" install --quiet networkx==3.6.1 igraph==1.0.0 networkit==11.2.1 numpy scipy >"$dir/python.log" 2>&1 ||
        { tail -n 20 "$dir/python.log" >&2; exit 1; }
}

main
