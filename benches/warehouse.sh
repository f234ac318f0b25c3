# What the benchmarks share: the extension's release build on a private server, samples, and a clock. They source this file.

dir=${BENCH:-/var/tmp/netflix_rec_bench}
. scripts/toolchain.sh
. scripts/cluster.sh

# Builds everything and starts an empty cluster, which is stopped at the end of the script.
start_warehouse() {
    local pg_config
    mkdir -p -m 755 "$dir"
    pg_config=$(private_postgres "$dir")
    pgrx_home "$PWD/target/pgrx" "$pg_config"
    export PGRX_PG_CONFIG_PATH=$pg_config PATH="$(dirname "$PG_CONFIG"):$PATH"
    say "building"
    cargo pgrx install --release --pg-config "$pg_config" --no-default-features --features "$PG_FEATURE" >"$dir/install.log" 2>&1 ||
        { tail -n 40 "$dir/install.log" >&2; exit 1; }
    cargo build --quiet --release --locked -p prize-format
    stop_cluster "$dir"
    rm -rf "$dir/data"
    start_cluster "$dir" "wal_level = replica" "max_wal_senders = 10" "shared_buffers = 2GB" "max_wal_size = 8GB" "maintenance_work_mem = 1GB"
    trap 'stop_cluster "$dir"' EXIT
    printf '\n%s, %s cores, PostgreSQL %s, ' "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)" "$(nproc)" \
        "$(query postgres 'SHOW server_version')"
}

# sample RATINGS: prints the folder of a sample with this many ratings. The first call makes the sample.
sample() {
    local folder=$dir/sample_$1
    if [ ! -d "$folder" ]; then
        rm -rf "$folder.new"
        target/release/prize-sample "$folder.new" --plain --ratings "$1" >/dev/null
        chmod -R a+rX "$folder.new"
        mv "$folder.new" "$folder"
    fi
    echo "$folder"
}

# cancels DATABASE RATINGS STATEMENT MOMENTS: measures the delay with which the statement stops after a timeout. `cancels_table`
# prints the results.
cancels() {
    PGOPTIONS="-c netflix_rec.memory_limit=16GB -c netflix_rec.max_memory=16GB -c netflix_rec.threads=${threads:-0}" python3 benches/cancels.py "$(socket_dir "$dir")" "$socket_port" "$@" >>"$dir/cancels.md"
}

cancels_table() {
    echo "| ratings | statement | at | cancelled | latest by ms |"
    echo "| ---: | --- | --- | ---: | ---: |"
    cat "$dir/cancels.md"
}

# Installs the peers that are Python packages.
install_peers() {
    [ ! -x "$dir/python/bin/python3" ] || return 0
    say "installing peers"
    python3 -m venv "$dir/python"
    "$dir/python/bin/pip" install --quiet "cmfrec==3.5.1.post14" "scikit-surprise==1.1.5" "myfm==0.4.0" "smurff==1.1" pandas scipy threadpoolctl \
        "setuptools<80" >"$dir/python.log" 2>&1 || { tail -n 20 "$dir/python.log" >&2; exit 1; }
}

query() { psql -X -q -At -v ON_ERROR_STOP=1 -h "$(socket_dir "$dir")" -p "$socket_port" -U postgres -d "$1" -c "${2}"; }

now() { date +%s.%N; }
calculate() { awk "BEGIN { print $1 }"; }
