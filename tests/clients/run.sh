#!/usr/bin/env bash
# Tests the extension through the drivers and tools that programs use: examples of the docs, how values are bound, cancelling, cursors,
# reflection, and the notebook.
#
# usage: run.sh FIXTURES FOLDER    with PGHOST, PGPORT and PGUSER of a server that has the extension
#
# FOLDER is for temporary files. The clients are Debian's and, in a virtual environment that is kept in ~/.cache, those of PyPI. A client
# that is not there is skipped, and a line says so. The last line counts the tests. No test at all is a failure.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
docs=$here/../../docs
fixtures=$1
folder=$2/clients
mkdir -p "$folder"
# Titles have letters that are not ASCII, and Java prints as the locale says.
export PGDATABASE=clients PYTHONDONTWRITEBYTECODE=1 LC_ALL=C.UTF-8
jdbc=/usr/share/java/postgresql.jar
tests=0
skipped=0

main() {
    local driver python why
    make_database
    debian=/usr/bin/python3
    [ -x "$debian" ] || debian=$(command -v python3) || debian=
    pypi=$(virtual_environment) || pypi=

    # First, because later tests train other models.
    examples "$docs/serve.md" 4 same_list
    if why=$(lacks_java); then
        skip JDBC "$why"
    else
        open_port
        java_example
        java_tests
    fi
    examples "$docs/clients.md" 5 prints_something

    for driver in psycopg2 psycopg sqlalchemy asyncpg; do
        python_test "$debian" "$driver" argument_types.py "$driver"
        python_test "$debian" "$driver" binding.py "$driver"
    done
    python_test "$pypi" sqlalchemy argument_types.py sqlalchemy
    for driver in psycopg sqlalchemy; do
        python_test "$pypi" "$driver" binding.py "$driver"
    done
    python_test "$pypi" "psycopg pandas" numpy_values.py
    for python in "$debian" "$pypi"; do
        python_test "$python" sqlalchemy reflection.py
        python_test "$python" sqlalchemy cursors.py sqlalchemy
        python_test "$python" psycopg cancel.py
    done
    python_test "$debian" psycopg cursors.py psycopg

    python_test "$pypi" "nbclient psycopg pandas" notebook.py "$here/../../examples/netflix.ipynb" "$fixtures/demo" "$folder"

    printf 'clients: %d tests, %d skipped\n' "$tests" "$skipped"
    [ "$tests" -gt 0 ] || fail "no client could be tested"
}

run() { psql -X -q -At -v ON_ERROR_STOP=1 -c "SET client_min_messages = warning" "$@"; }
fail() { printf 'clients: %s\n' "$*" >&2; exit 1; }
skip() { printf 'skipped: %s: %s\n' "$1" "$2"; skipped=$((skipped + 1)); }

make_database() {
    PGDATABASE=postgres run -c "DROP DATABASE IF EXISTS clients" -c "CREATE DATABASE clients"
    run -c "CREATE EXTENSION netflix_rec" -c "SELECT FROM netflix_load('$fixtures/million')" \
        -c "SELECT FROM train_als(factors => 5, iterations => 2)"
    wanted=$(run -F ' ' -c "SELECT rank, title FROM recommend(42, 3)")
    [ "$(wc -l <<<"$wanted")" -eq 3 ] || fail "the data set is too small for a list of three"
}

# Makes a virtual environment with the packages of requirements.txt, unless there is one, and prints the path of its Python.
virtual_environment() {
    local venv log=$folder/pip.log
    venv=$(cat "$here/requirements.txt" <("$debian" --version) | cksum | cut -d ' ' -f 1)
    venv=${XDG_CACHE_HOME:-$HOME/.cache}/netflix_rec/clients-$venv
    if [ ! -f "$venv/complete" ]; then
        rm -rf "$venv"
        {
            "$debian" -m venv "$venv" &&
                "$venv/bin/pip" install --quiet --retries 1 --timeout 15 --disable-pip-version-check -r "$here/requirements.txt" &&
                touch "$venv/complete"
        } >"$log" 2>&1 || return 1
    fi
    echo "$venv/bin/python"
}

# lacks PYTHON MODULES: prints why this Python cannot import these modules. Fails if it can.
lacks() {
    local module
    if [ -z "$1" ]; then
        echo "pip cannot install tests/clients/requirements.txt: $(grep . "$folder/pip.log" | tail -n 1)"
        return
    fi
    for module in $2; do
        "$1" -c "import $module" 2>"$folder/import" || { tail -n 1 "$folder/import"; return; }
    done
    return 1
}

# python_test PYTHON MODULES FILE [ARGUMENT ...]: runs the file, which prints how many tests it has done.
python_test() {
    local python=$1 modules=$2 why
    shift 2
    if why=$(lacks "$python" "$modules"); then
        [ "$python" = "$debian" ] || modules+=" of PyPI"
        skip "$modules ($1)" "$why"
    else
        counted "$python" "$here/$1" "${@:2}"
    fi
}

# counted COMMAND: runs the command, and adds up the tests that it reports as `CLIENT: N tests of WHAT`.
counted() {
    local printed count
    printed=$("$@")
    echo "$printed"
    count=$(sed -nE 's/^[^:]+: ([0-9]+) tests .*/\1/p' <<<"$printed")
    [ "${count:-0}" -gt 0 ] || fail "no tests: $*"
    tests=$((tests + count))
}

# blocks PAGE LANGUAGE: writes each code block of the page in this language to a file, and prints the files' names.
blocks() {
    awk -v prefix="$folder/$(basename "$1" .md)" -v language="$2" '
        $0 == "```" language { inside = 1; name = prefix "." (++number) "." language; printf "" > name; print name; next }
        /^```/ { inside = 0 }
        inside { print > name }' "$1"
}

# examples PAGE NUMBER CHECK: runs the Python examples of the page, by Debian's Python or PyPI's packages, whichever has what they import.
examples() {
    local block modules python why count=0
    for block in $(blocks "$1" python); do
        count=$((count + 1))
        modules=$(sed -nE 's/^(import|from) ([a-z0-9_]+).*/\2/p' "$block" | sort -u | tr '\n' ' ')
        python=$debian
        if why=$(lacks "$debian" "$modules") && python=$pypi && why+="; $(lacks "$pypi" "$modules")"; then
            skip "example $count of $(basename "$1")" "$why"
        else
            "$python" "$block" >"$block.out" 2>"$block.err" || { cat "$block.err" >&2; fail "example $count of $1 fails"; }
            "$3" "example $count of $(basename "$1") ($(head -n 1 "$block"))" "$block.out"
        fi
    done
    [ "$count" -eq "$2" ] || fail "$1 has $count examples in Python, not $2"
}

same_list() { # same_list WHAT FILE
    [ "$(cat "$2")" = "$wanted" ] || fail "$1 prints:
$(cat "$2")
but psql prints:
$wanted"
    passed "$1"
}

prints_something() { # prints_something WHAT FILE
    [ -s "$2" ] || fail "$1 prints nothing"
    passed "$1"
}

passed() {
    echo "$1: ok"
    tests=$((tests + 1))
}

# JDBC can connect only by TCP, so socat gives it a port. Prints why Java cannot be tested; fails if it can.
lacks_java() {
    local needed
    for needed in java socat; do
        command -v "$needed" >/dev/null || { echo "there is no $needed"; return; }
    done
    [ -f "$jdbc" ] || { echo "there is no $jdbc"; return; }
    return 1
}

open_port() {
    local port=$((20000 + $$ % 20000))
    socat "TCP-LISTEN:$port,bind=127.0.0.1,fork,reuseaddr" "UNIX-CONNECT:$PGHOST/.s.PGSQL.$PGPORT" 2>"$folder/socat.log" &
    trap 'kill %1' EXIT
    export URL="jdbc:postgresql://127.0.0.1:$port/clients"
}

java_example() {
    local block
    block=$(blocks "$docs/serve.md" java)
    mkdir -p "$folder/java"
    cp "$block" "$folder/java/Recommend.java"
    java -cp "$jdbc" "$folder/java/Recommend.java" >"$block.out"
    same_list "example of serve.md (JDBC)" "$block.out"
}

java_tests() {
    local file
    for file in ArgumentTypes Binding Cancel; do
        counted java -cp "$jdbc" "$here/$file.java"
    done
    counted java -Xmx48m -cp "$jdbc" "$here/Cursors.java"
}

main
