#!/usr/bin/env bash
# Builds the extension in release mode and installs it into the PostgreSQL that PG_CONFIG names, by default Debian's.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/toolchain.sh
pgrx_home "$PWD/target/pgrx-install" "$PG_CONFIG"
as_root=()
[ -w "$("$PG_CONFIG" --pkglibdir)" ] || as_root=(--sudo)
# A library that sessions have loaded must not be overwritten in place.
[ ${#as_root[@]} -eq 0 ] || sudo rm -f "$("$PG_CONFIG" --pkglibdir)/netflix_rec.so"
say "building and installing into $("$PG_CONFIG" --pkglibdir)"
cargo pgrx install --release "${as_root[@]}" --pg-config "$PG_CONFIG" --no-default-features --features "$PG_FEATURE"
