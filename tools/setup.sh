#!/bin/sh
# Makes .venv with the project (editable) and all that its development needs, fills static/vendor, and sees to it
# that the programs given as arguments are there: each is the name of a program and of its Debian package, or
# PROGRAM=PACKAGE where the two differ. With --original as the first argument it makes .original too: an environment
# with the original, for tests/compat.
# Quick when nothing has changed. As root it installs what Debian has to add, otherwise it says what to type.
set -eu
cd "$(dirname "$0")/.."

say() { echo "setup: $*" >&2; }

# Debian starts a server as soon as it is installed, which nobody asked for here: that is refused for as long as it
# takes, unless this machine already has a word on it.
apt_install() {
    policy=/usr/sbin/policy-rc.d
    if [ ! -e $policy ]; then
        trap 'rm -f /usr/sbin/policy-rc.d' EXIT
        trap 'exit 1' HUP INT TERM
        printf '#!/bin/sh\nexit 101\n' >$policy
        chmod 755 $policy
    fi
    export DEBIAN_FRONTEND=noninteractive
    apt-get -qq update && apt-get -qq -y -o Dpkg::Use-Pty=0 install --no-install-recommends "$@"
}

# Debian's packages "$@" are there afterwards, or the script ends with the line to type.
need() {
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        say "installing $*"
        # What it does is many lines and of no interest; what goes wrong is on stderr.
        apt_install "$@" </dev/null >/dev/null && return
        say "apt-get could not install $*"
        exit 1
    fi
    say "$* missing. On Debian type this, then try again:"
    say "    sudo apt-get install --no-install-recommends $*"
    exit 1
}

# The module venv works in $python afterwards.
need_venv() {
    "$python" -c 'import ensurepip, venv' 2>/dev/null && return
    case $python in
        /usr/bin/python3) need python3-venv ;;
        *) need "$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')" ;;
    esac
}

is_new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

# The system's own Python before one that a version manager has put on PATH: it is there for everybody.
find_python() {
    for python in ${PYTHON:-/usr/bin/python3 python3}; do
        is_new_enough "$python" && echo "$python" && return
    done
    say "no Python 3.11 or newer (tried: ${PYTHON:-/usr/bin/python3 python3}); PYTHON=/path/to/python3 names another"
    return 1
}

python=$(find_python)

original=
if [ "${1:-}" = --original ]; then
    original=yes
    shift
fi

# The editable install and static/vendor depend on these only.
wanted=$(cat setup.cfg pyproject.toml tools/backend.py tools/vendor/package-lock.json | sha256sum)
if [ "$(cat .venv/installed 2>/dev/null)" != "$wanted" ] || [ ! -e static/vendor/STAMP ] || ! is_new_enough .venv/bin/python; then
    need_venv
    rm -f .venv/installed
    is_new_enough .venv/bin/python && .venv/bin/python -m pip --version >/dev/null 2>&1 || "$python" -m venv --clear .venv
    say "installing the project and its dependencies into .venv"
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]' </dev/null
    echo "$wanted" >.venv/installed
fi

if [ "$original" ]; then
    wanted=$(sha256sum <tools/original.txt)
    if [ "$(cat .original/installed 2>/dev/null)" != "$wanted" ] || ! .original/bin/python -c '' 2>/dev/null; then
        need_venv
        say "installing the original into .original, for tests/compat"
        "$python" -m venv --clear .original
        .original/bin/python -m pip install --quiet --disable-pip-version-check -r tools/original.txt </dev/null
        echo "$wanted" >.original/installed
    fi
fi

missing=
for program; do
    # A server's program is where an ordinary user's PATH does not lead.
    PATH="$PATH:/usr/sbin" command -v "${program%%=*}" >/dev/null || missing="$missing ${program#*=}"
done
# shellcheck disable=SC2086  # one word per package
[ -z "$missing" ] || need $missing
