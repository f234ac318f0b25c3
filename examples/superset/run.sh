#!/usr/bin/env bash
# Apache Superset with a dashboard over the BI views of netflix_rec.
#
# usage: run.sh check | serve [PORT]
#
#   check   installs Superset, imports the dashboard, and runs the query of each of its charts
#   serve   the same, then starts Superset on 127.0.0.1, port 8088 unless another is given
#
#   PGHOST PGPORT PGUSER PGDATABASE   the database; a PGHOST that begins with / is the folder of a Unix socket
#   SUPERSET_HOME                     Superset's folder; ~/.cache/netflix_rec/superset if not set
#   PYTHON                            a Python 3.11; /usr/bin/python3 if not set
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
python=${PYTHON:-/usr/bin/python3}
export PGHOST=${PGHOST:-/var/run/postgresql}
export PGPORT=${PGPORT:-5432}
export PGUSER=${PGUSER:-$(id -un)}
export PGDATABASE=${PGDATABASE:-$PGUSER}
# Superset reads the next two, too.
export SUPERSET_HOME=${SUPERSET_HOME:-$HOME/.cache/netflix_rec/superset}
export SUPERSET_CONFIG_PATH=$here/superset_config.py
export PYTHONDONTWRITEBYTECODE=1
unset PYTHONPATH PYTHONHOME FLASK_APP

say() { printf '== %s\n' "$*"; }
fail() { printf 'run.sh: %s\n' "$*" >&2; exit 1; }

main() {
    local port=${2:-8088}
    case ${1:-} in
        check | serve) ;;
        *) sed -n '/^# usage/,/^set/s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
    esac
    umask 077
    mkdir -p "$SUPERSET_HOME"
    SUPERSET_HOME=$(cd "$SUPERSET_HOME" && pwd)
    exec 9>"$SUPERSET_HOME/lock"
    flock -n 9 || fail "another run.sh uses $SUPERSET_HOME"
    install
    say "preparing Superset's own database"
    quietly superset db upgrade
    quietly superset init
    say "importing the dashboard, with the database $PGDATABASE at $PGHOST"
    "$SUPERSET_HOME/venv/bin/python" "$here/load.py"
    say "running the queries of the charts"
    "$SUPERSET_HOME/venv/bin/python" "$here/check.py"
    [ "$1" = serve ] || return 0
    say "http://127.0.0.1:$port/superset/dashboard/netflix-prize/"
    say "user admin, password $(cat "$SUPERSET_HOME/admin_password"); Ctrl-C stops Superset"
    exec "$SUPERSET_HOME/venv/bin/gunicorn" --bind "127.0.0.1:$port" --no-control-socket --workers 1 --threads 8 \
        --timeout 120 --graceful-timeout 3 --log-level warning 'superset.app:create_app()'
}

# Installs what requirements.txt lists, unless that is installed already.
install() {
    local venv=$SUPERSET_HOME/venv secret
    if ! cmp -s "$here/requirements.txt" "$venv/requirements.txt"; then
        "$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' ||
            fail "$python is not Python 3.11, for which requirements.txt is made; set PYTHON"
        "$python" -c 'import ensurepip' 2>/dev/null || fail "Python has no venv: apt-get install python3-venv"
        say "installing Superset into $venv"
        rm -rf "$venv"
        "$python" -m venv "$venv"
        # The list is complete. Without --no-deps, pip would look for newer versions of what it lists.
        quietly pip install --disable-pip-version-check --no-deps -r "$here/requirements.txt"
        cp "$here/requirements.txt" "$venv/requirements.txt"
    fi
    for secret in secret_key admin_password; do
        [ -s "$SUPERSET_HOME/$secret" ] ||
            "$venv/bin/python" -c 'import secrets; print(secrets.token_urlsafe(32))' >"$SUPERSET_HOME/$secret"
    done
}

# quietly PROGRAM [ARGUMENT ...]: runs a program of the virtual environment. Shows its output only if it fails.
quietly() {
    "$SUPERSET_HOME/venv/bin/$1" "${@:2}" >"$SUPERSET_HOME/log" 2>&1 || {
        tail -n 30 "$SUPERSET_HOME/log" >&2
        fail "$* failed"
    }
}

main "$@"
