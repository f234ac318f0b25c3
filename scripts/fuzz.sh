#!/usr/bin/env bash
# Feeds random bytes to the readers of prize-format, and stops at the first input on which one fails.
#
# usage: fuzz.sh [SECONDS [TARGET ...]]    seconds for each target, 60 by default; targets: lines text archive unit
set -euo pipefail
cd "$(dirname "$0")/../crates/prize-format"

version=0.13.2
tools=${XDG_CACHE_HOME:-$HOME/.cache}/netflix_rec/cargo-fuzz-$version
seconds=${1:-60}
targets=("${@:2}")
[ ${#targets[@]} -gt 0 ] || targets=(lines text archive unit)

main() {
    export PATH="$tools/bin:$HOME/.cargo/bin:$PATH"
    if [ "$(cargo fuzz --version 2>/dev/null)" != "cargo-fuzz $version" ]; then
        cargo install --quiet cargo-fuzz --version "=$version" --locked --root "$tools"
    fi
    # Each run writes files. They are in memory if there is /dev/shm.
    TMPDIR=$(mktemp -d -p /dev/shm 2>/dev/null || mktemp -d)
    export TMPDIR
    trap 'rm -rf "$TMPDIR"' EXIT
    plant_seeds
    local target options dictionary
    for target in "${targets[@]}"; do
        options=(-max_total_time="$seconds" -timeout=20 -rss_limit_mb=1024 -max_len=16384 -print_final_stats=1)
        dictionary=fuzz/${target/lines/text}.dict
        [ ! -f "$dictionary" ] || options+=(-dict="$dictionary")
        # The crate has no unsafe code, so it needs no sanitizer. Without it, stable Rust is enough, and runs are faster.
        cargo fuzz run --sanitizer none "$target" -- "${options[@]}"
    done
}

# Writes the seed inputs: a small sample in each layout, with the first bytes that the target expects.
plant_seeds() {
    local corpus=fuzz/corpus sample=$TMPDIR/sample layout style
    mkdir -p "$corpus"/{lines,text,archive,unit}
    for layout in files tar combined; do
        for style in --no-final-newline --crlf --gzip; do
            cargo run --quiet -p prize-format --bin prize-sample -- "$sample/$layout$style" \
                --ratings 50 --movies 4 --customers 30 --layout "$layout" "$style" >/dev/null
        done
    done
    for style in --no-final-newline --crlf; do
        local files=$sample/files$style combined=$sample/combined$style
        {
            printf '\xfet' && cat "$files/movie_titles.csv"
            printf '\xfem' && cat "$files"/training_set/mv_*.txt
            printf '\xfec' && cat "$combined/combined_data_1.txt"
            printf '\xfep' && cat "$files/probe.txt"
            printf '\xfeq' && cat "$files/qualifying.txt"
            printf '\xfej' && cat "$files/grand_prize/judging.txt"
        } >"$corpus/text/sample$style"
        { printf '\xfed' && cat "$combined"/combined_data_*.txt; } >"$corpus/text/packed$style"
        { printf '\xfek' && head -n 9 "$combined/combined_data_1.txt"; } | cat "$corpus/text/packed$style" - >"$corpus/text/known$style"
        { printf 'l' && cat "$combined/combined_data_1.txt"; } >"$corpus/lines/ratings$style"
        { printf '\1' && cat "$files/qualifying.txt" "$files/movie_titles.csv"; } >"$corpus/lines/others$style"
        { printf 't' && cat "$sample/tar$style/training_set.tar"; } >"$corpus/archive/tar$style"
    done
    # A first line of about the greatest length allowed.
    { printf '\0\xef\xbb\xbf' && head -c 4095 /dev/zero | tr '\0' 1 && printf ':\n5,3,2005-09-06\n'; } >"$corpus/lines/long"
    { printf 'z' && cat "$sample/tar--gzip/training_set.tar.gz"; } >"$corpus/archive/packed"
    { printf 'g' && cat "$sample/combined--gzip/combined_data_1.txt.gz"; } >"$corpus/archive/text"
    # Long names in the formats of GNU tar and of POSIX.
    local long
    long=$(printf 'long/%.0s' {1..30})
    mkdir -p "$sample/$long"
    mv "$sample/files--crlf/training_set/mv_0000001.txt" "$sample/$long"
    for style in gnu posix; do
        { printf 't' && tar -C "$sample" --format="$style" -cf - "${long}mv_0000001.txt"; } >"$corpus/archive/$style"
    done
    printf 'g\0\0\0' >"$corpus/unit/good"
}

main "$@"
