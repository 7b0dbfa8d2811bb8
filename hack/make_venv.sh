#!/bin/sh
# Makes .venv from the hash-locked requirements, with this checkout importable in it. Needs Python 3.11 or newer; PYTHON
# names another than python3. What Debian leaves out of its Python (ensurepip) is installed where root can do so.
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}

fail() {
    echo "error: $*" >&2
    exit 1
}

can_make_venv() { "$python" -c 'import ensurepip, venv' 2>/dev/null; }

install_venv_package() {
    install='apt-get install --yes --no-install-recommends python3-venv'
    command -v apt-get >/dev/null || fail "$python cannot make virtual environments: install its ensurepip module"
    [ "$(id -u)" = 0 ] || fail "python3-venv is missing. As root, run: $install"
    echo "Installing the Debian package python3-venv, which is missing"
    export DEBIAN_FRONTEND=noninteractive
    $install >/dev/null 2>&1 </dev/null || { apt-get update >/dev/null && $install >/dev/null </dev/null; }
}

command -v "$python" >/dev/null || fail "$python is not there: install Python 3.11 or newer, or name one: make PYTHON=…"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "$("$python" --version) is too old: install Python 3.11 or newer, or name one: make PYTHON=…"
can_make_venv || install_venv_package
can_make_venv || fail "$python still cannot make virtual environments: name another, for example make PYTHON=/usr/bin/python3"

echo "Installing the locked requirements into .venv"
# One that was made elsewhere and moved or copied here would run the code of its old place.
[ ! -e .venv/.complete ] || [ "$(cat .venv/.complete)" = "$(pwd -P)" ] || rm -rf .venv
[ ! -e .venv ] || .venv/bin/python -c '' || rm -rf .venv
"$python" -m venv .venv
pip() { .venv/bin/python -m pip --disable-pip-version-check --quiet "$@"; }
pip install --require-hashes --requirement requirements/dev.txt
# No isolation: its build backend is one of the locked requirements too.
pip install --no-deps --no-index --no-build-isolation --editable .
pwd -P >.venv/.complete
