#!/usr/bin/env bash
# Measures how long training takes, from the rows in the table to the model in the table, and the errors after each iteration. The
# peers are LIBMF and cmfrec on the same ratings. They begin with the ratings in memory, and leave the model in memory. Also
# measures the delay with which a training stops after a timeout.
#
# usage: train.sh [RATINGS ...]     default: 10000000 100480507; the last one is the size of the Prize's data set
#
#   FACTORS=50    REGULARIZATION=0.045    SWEEPS=6    THREADS=(all cores)    PEERS="libmf cmfrec"    BENCH=/var/tmp/netflix_rec_bench
#
# At full size, cmfrec takes minutes per sweep. So cmfrec, and the algorithms that also learn from which movies a customer rated,
# are measured on up to ten million ratings only. The full size needs 25 GB of disk. Prints tables in Markdown. README.md has the
# tables that it printed last.
set -euo pipefail
cd "$(dirname "$0")/.."
. benches/warehouse.sh

factors=${FACTORS:-50}
regularization=${REGULARIZATION:-0.045}
sweeps=${SWEEPS:-6}
threads=${THREADS:-$(nproc)}
peers=${PEERS-libmf cmfrec}
sizes=("$@")
[ ${#sizes[@]} -gt 0 ] || sizes=(10000000 100480507)

main() {
    local size
    start_warehouse
    local peak
    peak=$(cargo bench --quiet --locked -p factor --bench sweep -- 50 2000 "$threads" | sed -n 's/.* % of \([0-9]*\);.*/\1/p')
    printf '%s threads, %s factors, %s GFLOP/s at most\n\n' "$threads" "$factors" "$peak"
    build_peers
    : >"$dir/cancels.md"
    echo "| ratings | algorithm | read s | sort s | first iteration s | an iteration s | GFLOP/s | of the peak | write s | all s | memory MB | probe RMSE after iterations |"
    echo "| ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |"
    for size in "${sizes[@]}"; do measure "$size" "$peak"; done
    echo
    cancels_table
    echo
    echo "| ratings | peer | s | a sweep or epoch s | probe RMSE |"
    echo "| ---: | --- | ---: | ---: | ---: |"
    cat "$dir/peers.md"
}

measure() {
    local ratings=$1 peak=$2
    PGOPTIONS="-c client_min_messages=warning" query postgres "DROP DATABASE IF EXISTS trained"
    query postgres "CREATE DATABASE trained"
    query trained "CREATE EXTENSION netflix_rec"
    PGOPTIONS="-c client_min_messages=warning" query trained "SELECT FROM netflix_load('$(sample "$ratings")')"
    query postgres CHECKPOINT
    sync
    watch_training "$ratings" "$peak" als "{\"factors\": $factors, \"iterations\": $sweeps, \"regularization\": $regularization}"
    watch_training "$ratings" "$peak" als '{}'
    watch_training "$ratings" "$peak" svd "{\"factors\": $factors}"
    cancels trained "$ratings" "SELECT FROM train('als', '{\"factors\": $factors, \"iterations\": 2}')" 24
    cancels trained "$ratings" "SELECT FROM train('svd', '{\"factors\": $factors, \"iterations\": 3}')" 12
    cancels trained "$ratings" "SELECT FROM train('als', '{\"factors\": $factors, \"iterations\": 1, \"implicit_weight\": 1}')" 12
    cancels trained "$ratings" "SELECT FROM train('svdpp', '{\"iterations\": 2}')" 12
    cancels trained "$ratings" "SELECT FROM train('bpmf', '{\"burn_in\": 1, \"samples\": 4}')" 12
    cancels trained "$ratings" "SELECT FROM train('truncated_svd', '{\"iterations\": 1}')" 12
    cancels trained "$ratings" "SELECT FROM train('baseline', '{}')" 6
    if [ "$ratings" -le 10000000 ]; then
        watch_training "$ratings" "$peak" als '{"factors": 200, "iterations": 3, "cg_steps": 3}'
        watch_training "$ratings" "$peak" als '{"factors": 200, "iterations": 3}'
        watch_training "$ratings" "$peak" svdpp '{"iterations": 10}'
        watch_training "$ratings" "$peak" bpmf '{"burn_in": 5, "samples": 15, "links": false}'
        watch_training "$ratings" "$peak" truncated_svd '{}'
    fi
    if [ -n "$peers" ]; then
        local columns="customer_key - 1, movie_key - 1, rating"
        # In the order of the table, by movie. This does not matter: LIBMF shuffles the ratings, and cmfrec builds a matrix.
        query trained "\\copy (SELECT $columns FROM fact_ratings WHERE NOT is_probe) TO '$dir/train.txt' (DELIMITER ' ')"
        query trained "\\copy (SELECT $columns FROM fact_ratings WHERE is_probe) TO '$dir/probe.txt' (DELIMITER ' ')"
        run_peers "$ratings" >>"$dir/peers.md"
        rm "$dir/train.txt" "$dir/probe.txt"
    fi
    query postgres "DROP DATABASE trained"
}

# Trains, reads the training's notices, and prints a row of the first table.
watch_training() {
    python3 - "$(socket_dir "$dir")" "$socket_port" "$1" "$2" "$3" "$4" "$threads" <<'PYTHON'
import json, os, re, subprocess, sys, threading, time

socket, port, ratings, peak, algorithm, params, threads = sys.argv[1:]
environment = dict(os.environ, PGOPTIONS=f"-c netflix_rec.threads={threads} -c netflix_rec.memory_limit=16GB -c netflix_rec.max_memory=16GB")
psql = subprocess.Popen(
    ["psql", "-X", "-q", "-At", "-h", socket, "-p", port, "-U", "postgres", "-d", "trained"], env=environment,
    stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, bufsize=1)
psql.stdin.write("SELECT pg_backend_pid();\n")
pid, memory = int(psql.stdout.readline()), [0]

def watch():
    while psql.poll() is None:
        try:
            resident = re.search(r"RssAnon:\s*(\d+)", open(f"/proc/{pid}/status").read())
        except OSError:
            return
        memory[0] = max(memory[0], int(resident[1]) // 1024)
        time.sleep(0.02)

threading.Thread(target=watch, daemon=True).start()
started, marks, ended, curve = time.time(), {}, [], []
psql.stdin.write(f"SELECT 'done', ratings, version FROM train('{algorithm}', '{params}', deploy => false);\n")
trained = 0
for line in psql.stdout:
    now = time.time() - started
    if found := re.search(r"iteration \d+/.*probe RMSE ([\d.]+)", line):
        curve.append(found[1])
        marks.setdefault("first", now)
    elif "training on" in line:
        marks["read"] = now
    elif "writing" in line:
        marks["written"] = now
    elif line.startswith("done|"):
        (trained, version), marks["done"] = map(int, line.split("|")[1:]), now
        # The training curve is more precise than the notices, which give tenths of a second.
        psql.stdin.write(f"SELECT 'ended', seconds FROM training_curve('{algorithm}', {version}) ORDER BY iteration;\n\\q\n")
    elif line.startswith("ended|"):
        ended.append(float(line.split("|")[1]))
    elif "ERROR" in line:
        sys.exit(line)
each = min((later - earlier for earlier, later in zip(ended, ended[1:])), default=ended[0])
work = share = ""
if algorithm == "als" and "cg_steps" not in params:
    factors = json.loads(params).get("factors", 50)
    gflop = 2 * trained * factors * (factors + 1) / each / 1e9
    work, share = f"{gflop:.0f}", f"{100 * gflop / float(peak):.0f} %"
curve = [rmse for number, rmse in enumerate(curve, 1) if number < 7 or number % 5 == 0 or number == len(curve)]
print(f"| {ratings} | {algorithm} `{params}` | {marks['read']:.1f} | {marks['first'] - ended[0] - marks['read']:.1f} | {ended[0]:.1f} | {each:.2f} | "
      f"{work} | {share} | {marks['done'] - marks['written']:.1f} | {marks['done']:.1f} | {memory[0]} | {' '.join(curve)} |", flush=True)
PYTHON
}

build_peers() {
    : >"$dir/peers.md"
    case " $peers " in *" libmf "*)
        say "building LIBMF"
        CXXFLAGS="-O3 -march=native -DUSEAVX -mavx" cargo build --quiet --release --locked --manifest-path benches/libmf/Cargo.toml --target-dir "$dir/libmf" ;;
    esac
    case " $peers " in *" cmfrec "*)
        if [ ! -x "$dir/cmfrec/bin/python3" ]; then
            say "installing cmfrec"
            python3 -m venv "$dir/cmfrec"
            "$dir/cmfrec/bin/pip" install --quiet "cmfrec==3.5.1.post14" pandas threadpoolctl "setuptools<80" >"$dir/cmfrec.log" 2>&1 ||
                { tail -n 20 "$dir/cmfrec.log" >&2; exit 1; }
        fi ;;
    esac
}

# Prints rows of the table of peers.
run_peers() {
    local ratings=$1 peer solver seconds rmse
    for peer in $peers; do
        case $peer in
        libmf)
            read -r seconds rmse < <("$dir/libmf/release/libmf-peer" "$dir/train.txt" "$dir/probe.txt" "$factors" 20 0.05 0.05 "$threads")
            printf '| %d | LIBMF, 20 epochs | %.1f | %.2f | %s |\n' "$ratings" "$seconds" "$(calculate "$seconds / 20")" "$rmse" ;;
        cmfrec)
            [ "$ratings" -le 10000000 ] || continue
            for solver in cholesky cg; do
                read -r seconds rmse < <("$dir/cmfrec/bin/python3" benches/cmfrec_peer.py "$dir/train.txt" "$dir/probe.txt" "$factors" 5 0.05 "$threads" "$solver")
                printf '| %d | cmfrec, %s, 5 sweeps | %.1f | %.2f | %s |\n' "$ratings" "$solver" "$seconds" "$(calculate "$seconds / 5")" "$rmse"
            done ;;
        *) fail "no such peer: $peer" ;;
        esac
    done
}

main
