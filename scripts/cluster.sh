# A private PostgreSQL: an installation and a cluster in a folder. The other scripts source this file. Needs PG_CONFIG.
#
# PostgreSQL finds its files by the folder that its program is in. So a copy of the program in a folder of our own, with links to
# everything else, is an installation of its own: extensions can be installed there without root, and the system's stays as it is.
#
#   DIR/pg        the installation        DIR/data      the cluster
#   DIR/          the socket              DIR/log       the server's log

fail() { printf '\nnetflix_rec: %s\n' "$*" >&2; exit 1; }

# Settings of the caller's shell for other servers must not apply to this one.
unset PGHOST PGHOSTADDR PGPORT PGUSER PGDATABASE PGSERVICE PGOPTIONS PGPASSFILE
socket_port=5432
READ_ALL=

# private_postgres DIR: makes DIR/pg. Prints the path of its pg_config.
private_postgres() {
    local to=$1/pg bin share lib include
    bin=$("$PG_CONFIG" --bindir) share=$("$PG_CONFIG" --sharedir)
    lib=$("$PG_CONFIG" --pkglibdir) include=$("$PG_CONFIG" --includedir-server)
    if ! cmp -s "$bin/postgres" "$to$bin/postgres"; then
        stop_cluster "$1"
        rm -rf "$to"
        mkdir -p "$to$bin" "$to$share/extension" "$to$lib" "$to$(dirname "$include")"
        # Those that look for files by their own place are copied; the rest are linked.
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

# as_server COMMAND: runs it as the server's user, because PostgreSQL refuses to run as root. With READ_ALL=1, that user may read
# every file, as root may, but not write. (Without no_setuid_fixup, access(2) would say that it may not read.)
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

# read_all FOLDER: lets the server's user read every file from now on, because otherwise it could not read this folder. Says so.
# Does nothing if root itself may not grant this, as in some containers.
read_all() {
    READ_ALL=1
    if [ "$(id -u)" -eq 0 ] && as_server true 2>/dev/null; then
        echo "user postgres may not read $1: the server is let read every file of the machine" >&2
    else
        READ_ALL=
    fi
}

# start_cluster DIR [SETTING ...]: starts the cluster in DIR; makes it first if there is none. Other users cannot reach its socket,
# and it opens no TCP port.
start_cluster() {
    local dir=$1 bin setting
    shift
    bin=$dir/pg$("$PG_CONFIG" --bindir)
    [ "$(id -u)" -ne 0 ] || chown postgres "$dir"
    chmod 700 "$dir"
    as_server test -x "$bin/initdb" || fail "user postgres, whom the server runs as, cannot reach $dir:
clone the repository to a folder that all users may enter, or work as an ordinary user"
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
        # A backtrace is for a panic; the server's errors come as plain as elsewhere. That the server is not reached
        # from elsewhere is said here, too: initdb may have been interrupted before its settings were written.
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

reads_all() { # reads_all DIR: whether the server that runs there has the capability; it is the only one it can have
    ! grep -q '^CapEff:[[:space:]]*0*$' "/proc/$(head -n 1 "$1/data/postmaster.pid")/status"
}

# stop_cluster DIR
stop_cluster() {
    local dir=$1
    local program
    [ -f "$dir/data/postmaster.pid" ] || return 0
    # The copy's own: the PostgreSQL it was made of may be gone.
    program=$(find "$dir/pg" -name pg_ctl -type f | head -n 1)
    [ -z "$program" ] || (cd / && as_server "$program" -D "$dir/data" -m fast -w stop >/dev/null) || true
}

# socket_dir DIR: the folder of the cluster's socket. It is DIR, unless the path is too long: a socket's path has at most 107 bytes.
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
