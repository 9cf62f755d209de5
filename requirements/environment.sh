#!/bin/sh
# Make .venv, or bring it up to date: the pinned packages of lock.txt and fargsim itself, editable.
# Needs a Python from 3.11 to 3.13 with its venv module, and nothing else. PYTHON=/path/to/python chooses one.
set -eu
cd "$(dirname "$0")/.."

in_range='import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))'
without_venv=

# A name on the PATH may be a shim that does not run, so each candidate has to prove itself.
find_python() {
    for candidate in ${PYTHON:-python3.13 python3.12 python3.11 python3 python}; do
        "$candidate" -c "$in_range" >/dev/null 2>&1 || continue
        if "$candidate" -c 'import venv, ensurepip' >/dev/null 2>&1; then
            echo "$candidate"
            return
        fi
        without_venv=$candidate
    done
    if [ -n "$without_venv" ]; then
        echo "make: $without_venv has no venv module (or no ensurepip), which fargsim needs to set itself up." >&2
        echo "make: on Debian and Ubuntu, install the package python3-venv; elsewhere, a complete Python 3.11, 3.12 or 3.13." >&2
    else
        echo "make: found no Python from 3.11 to 3.13 (tried ${PYTHON:-python3.13 python3.12 python3.11 python3 python})." >&2
        echo "make: install one, or name it: make PYTHON=/path/to/python3.12 ..." >&2
    fi
    exit 1
}

# A .venv that was left half-made, or whose Python has gone, is made anew.
if ! .venv/bin/python -c "$in_range" >/dev/null 2>&1 || ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
    python=$(find_python)
    echo "make: setting up .venv with $("$python" -V 2>&1) (once; some minutes)" >&2
    "$python" -m venv --clear .venv
fi
pip() { .venv/bin/python -m pip --disable-pip-version-check --no-input "$@"; }
pip install --quiet --requirement requirements/lock.txt
# setuptools is pinned in lock.txt: without build isolation, nothing that is not pinned takes part
pip install --quiet --no-build-isolation --no-deps --editable .
