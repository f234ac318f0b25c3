# A private PostgreSQL: an installation and a cluster in a folder. The other scripts source this file. Needs PG_CONFIG.
#
# PostgreSQL finds its files relative to its program. So a folder with a copy of the program, and with links to everything else, is
# an installation of its own: extensions can be installed there without root, and the system's installation stays unchanged.
#
#   DIR/pg        the installation        DIR/data      the cluster
#   DIR/          the socket              DIR/log       the server's log

fail() { printf '\nnetflix_rec: %s\n' "$*" >&2; exit 1; }

# Settings of the caller's shell for other servers must not apply to this one.
unset PGHOST PGHOSTADDR PGPORT PGUSER PGDATABASE PGSERVICE PGOPTIONS PGPASSFILE
socket_port=5432
READ_ALL=

# private_postgres DIR: makes the installation DIR/pg. Prints the path of its pg_config.
private_postgres() {
    local to=$1/pg bin share lib include
    bin=$("$PG_CONFIG" --bindir) share=$("$PG_CONFIG" --sharedir)
    lib=$("$PG_CONFIG" --pkglibdir) include=$("$PG_CONFIG" --includedir-server)
    if ! cmp -s "$bin/postgres" "$to$bin/postgres"; then
        stop_cluster "$1"
        rm -rf "$to"
        mkdir -p "$to$bin" "$to$share/extension" "$to$lib" "$to$(dirname "$include")"
        # Programs that find files relative to themselves are copied. The others are linked.
        local program
        for program in postgres initdb pg_ctl pg_config; do cp "$bin/$program" "$to$bin/"; done
        ln -s -t "$to$bin" "$bin"/* 2>/dev/null || true
        find "$share" -mindepth 1 -maxdepth 1 ! -name extension -exec ln -s -t "$to$share" {} +
        find "$share/extension" -mindepth 1 -maxdepth 1 ! -name 'netflix_rec*' -exec ln -s -t "$to$share/extension" {} +
        find "$lib" -mindepth 1 -maxdepth 1 ! -name 'netflix_rec*' -exec ln -s -t "$to$lib" {} +
        ln -s "$include" "$to$include"
    fi
    echo "$to$bin/pg_config"
}

# as_server COMMAND: runs the command as the server's user, because PostgreSQL refuses to run as root. With READ_ALL=1, this user
# may read every file, as root may, but not write it. (Without no_setuid_fixup, access(2) would report that it may not read.)
as_server() {
    local as_postgres=(setpriv --reuid=postgres --regid=postgres --init-groups)
    if [ "$(id -u)" -ne 0 ]; then
        "$@"
    elif [ -n "$READ_ALL" ]; then
        "${as_postgres[@]}" --securebits=+no_setuid_fixup --inh-caps=+dac_read_search \
            --ambient-caps=+dac_read_search -- "$@"
    else
        "${as_postgres[@]}" -- "$@"
    fi
}

# read_all FOLDER: from now on, lets the server's user read every file, because it has no permission to read this folder. Prints
# that it does so. Does nothing if root may not grant this, as in some containers.
read_all() {
    READ_ALL=1
    if [ "$(id -u)" -eq 0 ] && as_server true 2>/dev/null; then
        echo "user postgres may not read $1, so the server gets permission to read every file of this machine" >&2
    else
        READ_ALL=
    fi
}

# start_cluster DIR [SETTING ...]: starts the cluster in DIR, and creates it first if there is none. Other users cannot connect to
# its socket, and it opens no TCP port.
start_cluster() {
    local dir=$1 bin setting
    shift
    bin=$dir/pg$("$PG_CONFIG" --bindir)
    [ "$(id -u)" -ne 0 ] || chown postgres "$dir"
    chmod 700 "$dir"
    as_server test -x "$bin/initdb" || fail "the server runs as user postgres, which cannot enter $dir:
clone the repository to a folder that all users may enter, or run this as an ordinary user"
    if [ ! -f "$dir/data/PG_VERSION" ]; then
        rm -rf "$dir/data"
        (cd / && as_server "$bin/initdb" -D "$dir/data" -U postgres -A trust --encoding=UTF8 --no-locale >/dev/null)
        {
            echo "listen_addresses = ''"
            echo "unix_socket_permissions = 0700"
            echo "wal_level = minimal"
            echo "max_wal_senders = 0"
            echo "max_wal_size = 4GB"
            echo "jit = off"
            for setting in "$@"; do echo "$setting"; done
        } >>"$dir/data/postgresql.conf"
    fi
    if [ -n "$READ_ALL" ] && is_running "$dir" && ! reads_all "$dir"; then stop_cluster "$dir"; fi
    if ! is_running "$dir"; then
        # RUST_BACKTRACE is unset so that errors look the same as on other servers. The settings for connections are
        # given here again, because an interruption after initdb may have kept them out of postgresql.conf.
        (cd / && as_server env -u RUST_BACKTRACE "$bin/pg_ctl" -D "$dir/data" -l "$dir/log" -w -t 120 \
            -o "-c unix_socket_directories='$(socket_dir "$dir")' -c unix_socket_permissions=0700 \
                -c port=$socket_port -c listen_addresses=''" start >/dev/null) || {
            tail -n 20 "$dir/log" >&2
            return 1
        }
    fi
}

is_running() { # is_running DIR
    (cd / && as_server "$1/pg$("$PG_CONFIG" --bindir)/pg_ctl" -D "$1/data" status >/dev/null)
}

reads_all() { # reads_all DIR: whether the running server has the capability to read every file, the only one it can have
    ! grep -q '^CapEff:[[:space:]]*0*$' "/proc/$(head -n 1 "$1/data/postmaster.pid")/status"
}

# stop_cluster DIR: stops the cluster in DIR, if it runs.
stop_cluster() {
    local dir=$1
    local program
    [ -f "$dir/data/postmaster.pid" ] || return 0
    # The pg_ctl of the copy, because the PostgreSQL that it was copied from may be gone.
    program=$(find "$dir/pg" -name pg_ctl -type f | head -n 1)
    [ -z "$program" ] || (cd / && as_server "$program" -D "$dir/data" -m fast -w stop >/dev/null) || true
}

# socket_dir DIR: prints the folder of the cluster's socket. It is DIR, unless that is too long: a socket's path has at most 107
# bytes.
socket_dir() {
    local dir=$1 short
    if [ ${#dir} -le 85 ]; then
        echo "$dir"
        return
    fi
    short=/tmp/netflix_rec.$(id -u).$(printf %s "$dir" | cksum | cut -d ' ' -f 1)
    mkdir -p -m 700 "$short"
    [ -O "$short" ] || [ "$(stat -c %U "$short")" = postgres ] || fail "$short belongs to somebody else"
    [ "$(id -u)" -ne 0 ] || chown postgres "$short"
    echo "$short"
}
