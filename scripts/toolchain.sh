# Installs whatever a build needs and is missing, and prints what it installs. The other scripts source this file.
#
# Sets PG_CONFIG, unless it is set, and PG_FEATURE (for example pg15), and puts cargo-pgrx on PATH. This cargo-pgrx and its settings
# are separate from any that is already installed.

pgrx_version=0.18.1
cache=${XDG_CACHE_HOME:-$HOME/.cache}/netflix_rec

say() { printf '\n\033[1m== %s\033[0m\n' "$*" >&2; }
fail() { printf '\nnetflix_rec: %s\n' "$*" >&2; exit 1; }

apt_update() {
    if [ "$(id -u)" -eq 0 ]; then apt-get update -qq; else sudo apt-get update -qq; fi
}

# apt_install PACKAGE ...: installs the missing Debian packages, by apt-get as root or through sudo.
apt_install() {
    local missing=() package
    for package in "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    local root=()
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || fail "root permission is needed; as root, run: apt-get install ${missing[*]}"
        root=(sudo)
    fi
    say "installing Debian packages: ${missing[*]}"
    apt_update
    local log
    log=$(mktemp)
    "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" \
        >"$log" 2>&1 || { cat "$log" >&2; fail "these packages could not be installed"; }
    rm -f "$log"
}

find_pg_config() {
    local version
    for version in 15 18 17 16 14; do
        if [ -x "/usr/lib/postgresql/$version/bin/pg_config" ] && [ -x "/usr/lib/postgresql/$version/bin/postgres" ] &&
            [ -f "/usr/include/postgresql/$version/server/postgres.h" ]; then
            echo "/usr/lib/postgresql/$version/bin/pg_config"
            return
        fi
    done
}

install_packages() {
    if ! command -v apt-get >/dev/null; then
        [ -n "${PG_CONFIG:-}" ] || fail "this is not Debian: install PostgreSQL 14 to 18 with its server headers,
clang, pkg-config and OpenSSL's headers, and give PG_CONFIG=/path/to/pg_config"
        return
    fi
    apt_install clang libclang-dev pkg-config libssl-dev
    [ -n "${PG_CONFIG:-}" ] || PG_CONFIG=$(find_pg_config)
    if [ -z "$PG_CONFIG" ]; then
        local version
        # A new container has no package lists yet.
        [ -n "$(apt-cache pkgnames postgresql-server-dev- 2>/dev/null)" ] || apt_update
        for version in 15 18 17 16 14; do
            apt-cache show "postgresql-server-dev-$version" >/dev/null 2>&1 || continue
            apt_install "postgresql-$version" "postgresql-server-dev-$version"
            break
        done
        PG_CONFIG=$(find_pg_config)
        [ -n "$PG_CONFIG" ] || fail "no package of PostgreSQL 14 to 18 was found: give PG_CONFIG=/path/to/pg_config"
    fi
}

install_cargo_pgrx() {
    export PATH="$cache/cargo-pgrx-$pgrx_version/bin:$HOME/.cargo/bin:$PATH"
    command -v cargo >/dev/null || fail "Rust is missing: install it from https://rustup.rs"
    [ "$(cargo pgrx --version 2>/dev/null)" = "cargo-pgrx $pgrx_version" ] && return
    say "building cargo-pgrx $pgrx_version into $cache (only once; this takes some minutes)"
    # Built without optimization, because cargo-pgrx only starts the builds: optimizing it takes longer than it saves.
    CARGO_PROFILE_DEV_DEBUG=0 cargo install --quiet cargo-pgrx --version "=$pgrx_version" --locked --debug \
        --root "$cache/cargo-pgrx-$pgrx_version"
}

# pgrx_home DIR PG_CONFIG: gives cargo-pgrx settings of its own in DIR, with this PostgreSQL only. The file is not
# rewritten if nothing changes, because cargo generates PostgreSQL's bindings anew when its date changes.
pgrx_home() {
    local settings
    settings=$(printf '[configs]\n%s = "%s"\n' "$PG_FEATURE" "$2")
    mkdir -p "$1"
    [ "$(cat "$1/config.toml" 2>/dev/null)" = "$settings" ] || echo "$settings" >"$1/config.toml"
    export PGRX_HOME=$1
}

install_packages
[ -x "$PG_CONFIG" ] || fail "PG_CONFIG is not the path of a program: $PG_CONFIG"
install_cargo_pgrx
PG_FEATURE=pg$("$PG_CONFIG" --version | sed -E 's/^PostgreSQL ([0-9]+).*/\1/')
export PG_CONFIG PG_FEATURE
