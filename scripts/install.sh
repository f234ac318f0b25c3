#!/usr/bin/env bash
# Builds the extension in release mode and installs it into the PostgreSQL of PG_CONFIG, or into Debian's if PG_CONFIG is not set.
set -euo pipefail
cd "$(dirname "$0")/.."
umask 022 # other users must be able to read the installed files
. scripts/toolchain.sh
pgrx_home "$PWD/target/pgrx-install" "$PG_CONFIG"
library=$("$PG_CONFIG" --pkglibdir)
say "building the extension"
built=$PWD/target/install
rm -rf "$built"
cargo pgrx package --pg-config "$PG_CONFIG" --no-default-features --features "$PG_FEATURE" --out-dir "$built"
say "installing into $library"
as_root=()
if [ ! -w "$library" ]; then
    command -v sudo >/dev/null || fail "root permission is needed; as root, run: make install"
    as_root=(sudo)
fi
# A library that sessions have loaded must not be overwritten in place. So the old file is removed, and then the new one is copied.
"${as_root[@]}" cp -r --no-preserve=ownership --remove-destination "$built"/. /
