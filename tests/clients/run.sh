#!/usr/bin/env bash
# Tests that every driver's example in docs/serve.md runs as it is printed there, and prints the same list as psql. Also tests every
# call with its arguments bound as each of the types that drivers use.
#
# usage: run.sh FIXTURES FOLDER    with PGHOST, PGPORT and PGUSER of a server that has the extension
#
# FOLDER is for temporary files. The drivers are Debian's. JDBC can connect only by TCP, so socat gives it a port.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
page=$here/../../docs/serve.md
fixtures=$1
folder=$2/clients
mkdir -p "$folder"
export PGDATABASE=clients
run() { psql -X -q -At -v ON_ERROR_STOP=1 -c "SET client_min_messages = warning" "$@"; }
fail() { printf 'clients: %s\n' "$*" >&2; exit 1; }

PGDATABASE=postgres run -c "DROP DATABASE IF EXISTS clients" -c "CREATE DATABASE clients"
run -c "CREATE EXTENSION netflix_rec" -c "SELECT FROM netflix_load('$fixtures/million')" \
    -c "SELECT FROM train_als(factors => 5, iterations => 2)"
wanted=$(run -F ' ' -c "SELECT rank, title FROM recommend(42, 3)")
[ "$(wc -l <<<"$wanted")" -eq 3 ] || fail "the data set is too small for a list of three"

port=$((20000 + $$ % 20000))
socat "TCP-LISTEN:$port,bind=127.0.0.1,fork,reuseaddr" "UNIX-CONNECT:$PGHOST/.s.PGSQL.$PGPORT" &
trap 'kill %1' EXIT

# blocks LANGUAGE: writes each code block of the page in this language to a file, and prints the files' names.
blocks() {
    awk -v folder="$folder" -v language="$1" '
        $0 == "```" language { inside = 1; name = folder "/" language (++number); printf "" > name; print name; next }
        /^```/ { inside = 0 }
        inside { print > name }' "$page"
}

check() { # check WHAT PRINTED
    [ "$2" = "$wanted" ] || fail "$1 prints:
$2
but psql prints:
$wanted"
}

count=0
for block in $(blocks python); do
    check "$block ($(head -n 1 "$block"))" "$(/usr/bin/python3 "$block")"
    count=$((count + 1))
done
jdbc=/usr/share/java/postgresql.jar
for block in $(blocks java); do
    mkdir -p "$folder/java"
    cp "$block" "$folder/java/Recommend.java"
    check "$block (JDBC)" "$(URL="jdbc:postgresql://127.0.0.1:$port/clients" java -cp $jdbc "$folder/java/Recommend.java")"
    count=$((count + 1))
done
[ "$count" -eq 5 ] || fail "docs/serve.md has $count examples for drivers, not 5"

/usr/bin/python3 "$here/argument_types.py"
URL="jdbc:postgresql://127.0.0.1:$port/clients" java -cp $jdbc "$here/ArgumentTypes.java"
