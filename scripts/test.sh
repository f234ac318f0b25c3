#!/usr/bin/env bash
# Runs all checks and tests, on private PostgreSQL clusters in a throw-away folder.
#
# usage: test.sh [STAGE ...]    stages: fmt ascii clippy rustdoc crates pg_test regress dump replica settings faults docs clients
#                                  browser examples
#
#   check            the first four stages
#   FAULTS=n         the stage faults interrupts loads n times at random moments; 9 by default
#   SERVE_SECONDS=n  the stage faults asks for recommendations for n seconds while models are deployed and dropped; 15 by default
#
# The last line is `N passed, N failed`. The folder is always the same, because its name is in expected answers.
set -uo pipefail
cd "$(dirname "$0")/.."
umask 022
set -e
. scripts/toolchain.sh
. scripts/cluster.sh
set +e

dir=/tmp/netflix_rec_test
passed=0
failed=0

main() {
    local stages=("$@") stage
    [ ${#stages[@]} -gt 0 ] || stages=(check crates pg_test regress dump replica settings faults docs clients browser examples)
    exec 9>"/tmp/netflix_rec_test.$(id -u).lock"
    flock -n 9 || { say "waiting for another make test to end"; flock 9; }
    start_over
    # Not earlier, because the folder might have belonged to another user, whose programs must not be run.
    trap 'stop_cluster "$dir"' EXIT
    trap 'exit 130' INT TERM
    for stage in "${stages[@]}"; do
        case $stage in
            check) fmt; ascii; clippy; rustdoc ;;
            fmt | ascii | clippy | rustdoc | crates | pg_test | regress | dump | replica | settings | faults | docs | clients | browser | examples) $stage ;;
            *) fail "there is no stage $stage" ;;
        esac
    done
    printf '\n%d passed, %d failed\n' "$passed" "$failed"
    [ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
}

start_over() {
    if [ -e "$dir" ]; then
        local owner
        owner=$(stat -c %U "$dir")
        # If this runs as root, it runs programs in this folder as postgres. They must not be another user's.
        [ "$owner" = "$(id -un)" ] || [ "$(id -u):$owner" = 0:postgres ] || fail "$dir belongs to $owner"
        stop_cluster "$dir"
        rm -rf "$dir"
    fi
    mkdir -m 755 "$dir"
    # All builds use one PostgreSQL, so that they share compiled code.
    test_pg_config=$(private_postgres "$dir")
    pgrx_home "$PWD/target/pgrx" "$test_pg_config"
    export PGRX_PG_CONFIG_PATH=$test_pg_config
    local version=${PG_FEATURE#pg}
    export PATH="$(dirname "$PG_CONFIG"):$PATH" PG_VERSION=$version
    features=(--no-default-features --features "$PG_FEATURE")
}

count() { # count WHAT STATUS: one check
    if [ "$2" -eq 0 ]; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "FAILED: $1" >&2; fi
}

# cargo_tests COMMAND: runs the command, shows its output, and adds up the passed and failed tests.
cargo_tests() {
    local log status tests
    log=$(mktemp)
    "$@" 2>&1 | tee "$log"
    status=${PIPESTATUS[0]}
    tests=$(sed -nE 's/^test result: .* ([0-9]+) passed; ([0-9]+) failed.*/\1 \2/p' "$log" | awk '{p+=$1; f+=$2} END {print p+0, f+0}')
    passed=$((passed + ${tests% *}))
    failed=$((failed + ${tests#* }))
    # If the build failed, no test was run, and the build counts as a failed one.
    if [ "$status" -ne 0 ] && [ "${tests#* }" -eq 0 ]; then count "$*" 1; fi
    rm -f "$log"
}

fmt() {
    say "rustfmt"
    cargo fmt --all --check && cargo fmt --manifest-path crates/prize-format/fuzz/Cargo.toml --check
    count fmt $?
}

# Texts that go to a client must be ASCII, because the client may have any encoding. Other characters may occur in comments, in
# tests, and in the sample's titles, which are data.
ascii() {
    say "texts in ASCII"
    local found
    found=$(find src crates/*/src -name '*.rs' ! -path '*/sample/titles.rs' ! -name tests.rs -exec awk '
        FNR == 1 { is_test = 0 }
        /^#\[cfg\((test|any\(test)/ { is_test = 1 }
        !is_test && !/^ *\/\// { sub(/ \/\/ .*/, ""); if (/[^\001-\177]/) print FILENAME ":" FNR ": " $0 }' {} +
        awk '!/^ *--/ && /[^\001-\177]/ { print FILENAME ":" FNR ": " $0 }' sql/*.sql)
    [ -z "$found" ] || echo "$found" >&2
    [ -z "$found" ]
    count "texts in ASCII" $?
}

clippy() {
    say "clippy"
    cargo clippy --quiet --locked --workspace --all-targets "${features[@]}" -- -D warnings
    count clippy $?
}

rustdoc() {
    say "rustdoc"
    RUSTDOCFLAGS="-D warnings" cargo doc --quiet --locked --workspace --no-deps --document-private-items "${features[@]}"
    count rustdoc $?
}

crates() {
    say "tests of the crates"
    cargo_tests cargo test --quiet --locked -p prize-format -p factor -p cograph -p chart
}

pg_test() {
    say "tests inside a backend"
    local as_user=()
    if [ "$(id -u)" -eq 0 ]; then
        apt_install sudo
        as_user=(--runas postgres)
        mkdir -p "$dir/pg_test"
        chown postgres "$dir/pg_test"
    fi
    # The tests share the tables, so they run one at a time.
    RUST_TEST_THREADS=1 cargo_tests cargo pgrx test "$PG_FEATURE" "${features[@]}" "${as_user[@]}" --pgdata "$dir/pg_test/data" 9>&-
}

# Installs the extension into the throw-away installation, writes the data sets, and starts the cluster.
prepare_server() {
    [ ! -f "$dir/data/postmaster.pid" ] || return 0
    say "installing the extension on a throw-away cluster"
    cargo pgrx install --pg-config "$test_pg_config" "${features[@]}" >"$dir/install.log" 2>&1 || {
        tail -n 40 "$dir/install.log" >&2
        return 1
    }
    cargo build --quiet --locked -p prize-format || return 1
    tests/regress/fixtures.sh "$dir/fixtures" "$PWD/target/debug/prize-sample" || return 1
    chmod -R a+rX "$dir/fixtures"
    chmod 000 "$dir"/fixtures/unreadable/*
    # The server does not inherit the script's lock (9>&-), because it may outlive the script. With lock_timeout, a test
    # that waits for another session's lock fails. With thread_limit, tests have the same number of threads on any machine.
    start_cluster "$dir" "shared_buffers = 128MB" "fsync = off" "lock_timeout = 30s" "netflix_rec.thread_limit = 8" 9>&-
}

regress() {
    prepare_server
    count "throw-away cluster" $?
    say "regress tests"
    local pg_regress log
    pg_regress=$(dirname "$("$PG_CONFIG" --pgxs)")/../test/regress/pg_regress
    [ -x "$pg_regress" ] || pg_regress=$("$PG_CONFIG" --pkglibdir)/pgxs/src/test/regress/pg_regress
    log=$(mktemp)
    psql -X -q -h "$(socket_dir "$dir")" -p "$socket_port" -U postgres -d postgres -c "CREATE DATABASE regress"
    "$pg_regress" --use-existing --bindir="$(dirname "$PG_CONFIG")" --host="$(socket_dir "$dir")" --port="$socket_port" --user=postgres \
        --dbname=regress --inputdir=tests/regress --outputdir="$dir/regress" --schedule=tests/regress/schedule 2>&1 | tee "$log"
    cat "$dir/regress/regression.diffs" 2>/dev/null
    # PostgreSQL 16 prints TAP, older ones `test name ... ok`.
    local good bad
    good=$(grep -cE '^test .* ok |^ok [0-9]' "$log")
    bad=$(grep -cE '^test .* FAILED|^not ok [0-9]' "$log")
    passed=$((passed + good))
    failed=$((failed + bad))
    [ $((good + bad)) -eq "$(grep -c '^test:' tests/regress/schedule)" ]
    count "all regress tests were run" $?
    rm -f "$log"
}

# A warehouse that pg_restore makes from a dump is the same as the dumped one.
dump() {
    prepare_server
    count "throw-away cluster" $?
    say "dump and restore"
    PGHOST=$(socket_dir "$dir") PGPORT=$socket_port PGUSER=postgres tests/dump.sh "$dir/fixtures"
    count "dump and restore" $?
}

# A standby, and a server after a crash, have the same tables as the primary.
replica() {
    prepare_server
    count "throw-away cluster" $?
    say "a standby, a crash and old snapshots"
    tests/replica/standby.sh "$dir/fixtures" "$dir" 9>&-
    count "standby and crash recovery" $?
}

# Restarts the server with each way to preload the library, and then with its former settings.
settings() {
    prepare_server
    count "throw-away cluster" $?
    say "settings"
    tests/settings.sh "$dir/fixtures" "$dir" 9>&-
    count "settings" $?
}

# Interrupted loads can be finished, and recommendations are right while models change. The tests kill the server and start it
# again. This server must not hold the script's lock either.
faults() {
    prepare_server
    count "throw-away cluster" $?
    say "loads that are killed or stopped, or run out of disk"
    tests/faults/load.sh "$dir/fixtures" "$dir" "${FAULTS:-9}" 9>&-
    count "loads go on after faults" $?
    say "searches that are killed or stopped"
    tests/faults/search.sh "$dir" 9>&-
    count "searches go on after faults" $?
    say "recommendations while models come and go"
    tests/faults/serve.sh "$dir" "${SERVE_SECONDS:-15}" 9>&-
    count "recommendations are complete while models come and go" $?
    say "interrupts while threads compute"
    tests/faults/interrupts.sh "$dir" 9>&-
    count "a backend notices interrupts while threads compute" $?
    say "calls while the system refuses memory"
    tests/faults/memory.sh "$dir" 9>&-
    count "no backend aborts for lack of memory" $?
}

# Runs the ```sql blocks of the README and of each page of the docs, in order. Each file has a database of its own. The sample of the
# demo, which has genres, takes the place of the Prize's files in the README and in docs/graph.md.
docs() {
    prepare_server
    count "throw-away cluster" $?
    say "examples of the documentation"
    local file database psql sample
    psql="$(dirname "$PG_CONFIG")/psql -X -q -h $(socket_dir "$dir") -p $socket_port -U postgres -v ON_ERROR_STOP=1"
    for file in README.md docs/*.md; do
        database=docs_$(basename "$file" .md | tr 'A-Z' 'a-z')
        $psql -d postgres -c "CREATE DATABASE $database"
        case $file in README.md | docs/graph.md) sample=demo ;; *) sample=lifelike ;; esac
        sed -n '/^```sql$/,/^```$/p' "$file" | grep -v '^```' |
            sed "s#/path/to/netflix#$dir/fixtures/$sample#g" >"$dir/$database.sql"
        if [ ! -s "$dir/$database.sql" ]; then
            [ "$file" = docs/sample.md ]
            count "$file has examples" $?
            continue
        fi
        if ! grep -qi 'create extension' "$dir/$database.sql"; then
            $psql -d "$database" -c "CREATE EXTENSION netflix_rec" >/dev/null
        fi
        $psql -d "$database" -f "$dir/$database.sql" >"$dir/$database.out" 2>&1
        local status=$?
        count "$file" $status
        [ $status -eq 0 ] || tail -n 5 "$dir/$database.out" >&2
    done
    # The dictionary of docs/bi.md has each column as the catalog has it.
    local line
    $psql -At -d docs_bi -c "SELECT format('| \`%s\` | %s | %s |', a.attname, format_type(a.atttypid, -1), col_description(c.oid, a.attnum))
                             FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
                             WHERE c.relname LIKE 'bi\\_%' AND c.relkind IN ('v', 'm')" >"$dir/dictionary"
    [ -s "$dir/dictionary" ] && while read -r line; do
        grep -qxF "$line" docs/bi.md || { echo "docs/bi.md lacks: $line" >&2; false; break; }
    done <"$dir/dictionary"
    count "the dictionary of docs/bi.md" $?
    # Checks the answer at the top of the README. (Its last digits depend on the processor.)
    local answer
    answer=$($psql -d docs_readme -c "$(sed -n 's/^=# //p' README.md)" | rounded)
    [ -n "$answer" ] && [ "$answer" = "$(sed -n '/^=# /,/^```$/p' README.md | sed '1d;$d' | rounded)" ]
    count "the README's answer" $?
}

# Tests calls through the drivers that applications use.
clients() {
    prepare_server
    count "throw-away cluster" $?
    say "drivers"
    apt_install python3-venv python3-psycopg python3-psycopg2 python3-sqlalchemy python3-asyncpg default-jdk-headless libpostgresql-jdbc-java socat
    PGHOST=$(socket_dir "$dir") PGPORT=$socket_port PGUSER=postgres tests/clients/run.sh "$dir/fixtures" "$dir"
    count "drivers" $?
}

# Opens reports and charts in a browser.
browser() {
    prepare_server
    count "throw-away cluster" $?
    say "pages in a browser"
    apt_install chromium chromium-driver python3-selenium python3-psycopg fonts-dejavu-core default-jre-headless curl ca-certificates
    cargo build --quiet --locked -p chart --example gallery &&
        PGHOST=$(socket_dir "$dir") PGPORT=$socket_port PGUSER=postgres tests/browser/run.sh "$dir/fixtures" "$dir" "$PWD/target/debug/examples/gallery"
    count "pages in a browser" $?
}

# Every chart of the Superset dashboard answers.
examples() {
    prepare_server
    count "throw-away cluster" $?
    say "the Superset dashboard"
    apt_install python3-venv curl ca-certificates
    if ! curl -fsS -o /dev/null --retry 2 https://pypi.org/simple/apache-superset/; then
        echo "skipped: the Superset dashboard: PyPI cannot be reached"
        return
    fi
    local psql="$(dirname "$PG_CONFIG")/psql -X -q -At -h $(socket_dir "$dir") -p $socket_port -U postgres -v ON_ERROR_STOP=1"
    $psql -d postgres -c "CREATE DATABASE superset" &&
        $psql -d superset -c "SET client_min_messages = warning" -c "CREATE EXTENSION netflix_rec" \
            -c "SELECT FROM netflix_load('$dir/fixtures/demo')" -c "SELECT FROM train_als()" \
            -c "SELECT FROM graph_project_movies('demo', min_common => 100)" -c "SELECT FROM graph_store_communities('demo')" &&
        PGHOST=$(socket_dir "$dir") PGPORT=$socket_port PGUSER=postgres PGDATABASE=superset examples/superset/run.sh check 9>&-
    count "the Superset dashboard" $?
}

rounded() { sed -E 's/([0-9]\.[0-9]{2})[0-9]*/\1/g; s/ +/ /g; s/-+/-/g; s/ $//' | grep .; }

main "$@"
