#!/usr/bin/env bash
# Opens reports and charts in a real browser, and checks what a reader would notice: pages.py says what. The pages: the report on the
# data of the demo; the report on titles that would break a careless page; each chart alone; the gallery.
#
# usage: run.sh FIXTURES FOLDER GALLERY    with PGHOST, PGPORT and PGUSER of a server that has the extension; GALLERY is the example of
# crates/chart, which draws charts of made-up numbers
#
# Pictures of all pages are left in FOLDER/browser. Chromium, its driver and Selenium are Debian's. The HTML validator (vnu) and the
# accessibility checker (axe) come from the npm registry; without it their checks are skipped, and it is said.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
fixtures=$1
folder=$2/browser
rm -rf "$folder"
mkdir -p "$folder"
run() { psql -X -q -At -v ON_ERROR_STOP=1 -c "SET client_min_messages = warning" "$@"; }
page() { run -d "$1" -c "SELECT $2"; }

# package NAME VERSION SHA512 FILE: gets a file out of a package of the npm registry, and prints where it lies; nothing if it cannot be
# had.
package() {
    local cache=${XDG_CACHE_HOME:-$HOME/.cache}/netflix_rec/npm/$1-$2
    if [ ! -f "$cache/$4" ]; then
        mkdir -p "$cache"
        curl -fsSL --retry 3 "https://registry.npmjs.org/$1/-/$1-$2.tgz" -o "$cache/package.tgz" 2>/dev/null || return 0
        echo "$3  $cache/package.tgz" | sha512sum --quiet -c - >&2 || { rm "$cache/package.tgz"; return 1; }
        tar -xzf "$cache/package.tgz" -C "$cache" --strip-components=1
    fi
    echo "$cache/$4"
}

for database in browser_demo browser_titles; do
    run -d postgres -c "DROP DATABASE IF EXISTS $database" -c "CREATE DATABASE $database"
done
run -d browser_demo -c "CREATE EXTENSION netflix_rec" -c "SELECT FROM netflix_load('$fixtures/demo')" -c "SELECT FROM train_als()" \
    -c "SELECT FROM train_baseline()" -c "SELECT FROM train_svd()" -c "SELECT FROM graph_project_movies('movies', min_common => 100)" \
    -c "SELECT FROM grid_search('als', '{\"factors\": [8, 16, 32], \"regularization\": [0.03, 0.045, 0.06]}', folds => 2)"
run -d browser_titles -c "CREATE EXTENSION netflix_rec" -f "$here/titles.sql" >/dev/null

page browser_demo "netflix_report()" >"$folder/report.html"
page browser_titles "netflix_report()" >"$folder/titles.html"
run -d postgres -c "CREATE DATABASE browser_empty" 2>/dev/null || true
run -d browser_empty -c "CREATE EXTENSION IF NOT EXISTS netflix_rec"
page browser_empty "netflix_report()" >"$folder/empty.html"
for chart in rating_distribution ratings_by_month mean_rating_by_month ratings_by_weekday rating_counts model_comparison training_curve \
    error_slices factor_map search network; do
    page browser_demo "chart_$chart()" >"$folder/$chart.svg"
    page browser_titles "chart_$chart(width => 360)" >"$folder/titles_$chart.svg"
done

for width in 320 400 900; do
    "$3" "$folder/gallery" "$width"
    for chart in "$folder"/gallery/*.svg; do mv "$chart" "$folder/gallery_${width}_$(basename "$chart")"; done
done

# The server in docs/report.md answers with a chart. Port 0 would be any, but then nobody knows it.
port=$((20000 + $$ % 20000))
sed -n '/^```python$/,/^```$/p' "$here/../../docs/report.md" | sed '1d;$d' | sed "s/8000/$port/" >"$folder/server.py"
PGDATABASE=browser_demo /usr/bin/python3 "$folder/server.py" 2>"$folder/server.log" &
trap 'kill %1 2>/dev/null || true' EXIT
for _ in $(seq 50); do
    curl -fsS -D "$folder/headers" -o "$folder/served.svg" "http://127.0.0.1:$port/" 2>/dev/null && break
    sleep 0.2
done
cmp "$folder/served.svg" <(run -d browser_demo -c "SELECT chart_network('movies', width => 900)" | head -c -1)
grep -qi '^Content-Type: image/svg+xml' "$folder/headers"
echo "served: a chart"

validator=$(package vnu-jar 26.9.27 4e441de4315f39a582f5e6edbe8cd3b2b1f655aa1dde3620faface791133217c417b12f3f7ead2d8336d8e7efe44f5226618258b44a0860057e9125135e6b428 build/dist/vnu.jar)
if [ -n "$validator" ]; then
    java -jar "$validator" --Werror "$folder/report.html" "$folder/titles.html" "$folder/empty.html"
    echo "valid HTML: report.html, titles.html, empty.html"
else
    echo "skipped: HTML validator: the npm registry cannot be reached"
fi
axe=$(package axe-core 4.10.3 5e6edba515e70d25f6604d9815f064d859c5d1ea7ab661bbc4f87c88779ef0c21cae0abbeb636471ef39e9d62d2582e4b88a1866f19f4ecfcf6d986275e4dc12 axe.min.js)
/usr/bin/python3 "$here/pages.py" "$folder" "${axe:-}"
