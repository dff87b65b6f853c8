#!/usr/bin/env bash
# Makes the environment every make target runs in, from nothing but Python >= 3.11 and a package index; at once when it stands already.
#   PYTHON=/path/to/python   use this interpreter instead of the first suitable one
#   VENV=folder              where the environment lies (default .venv)
#   --which                  only print the interpreter that would be used
# Installs exactly requirements/dev.txt (hashes checked), then this package in editable form.
set -euo pipefail
cd "$(dirname "$0")/.."
VENV=${VENV:-.venv}
PYTHON=${PYTHON:-}
READY=$VENV/.ready

say() { printf '\033[2m·\033[0m %s\n' "$*"; }
[ -t 1 ] || say() { printf '· %s\n' "$*"; }

# Runs the candidate, because a shim may exist and fail. No bytecode, no site packages: fifteen milliseconds.
suits() { "$1" -ISc 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' >/dev/null 2>&1; }

find_python() {
    local candidate
    if [ -n "$PYTHON" ]; then
        suits "$PYTHON" && printf '%s\n' "$PYTHON" && return
        printf 'PYTHON=%s does not run, or is not Python 3.11, 3.12 or 3.13.\n' "$PYTHON" >&2
        return 1
    fi
    for candidate in python3.13 python3.12 python3.11 python3 python; do
        suits "$candidate" && printf '%s\n' "$candidate" && return
    done
    printf 'No Python 3.11, 3.12 or 3.13 found. Install one (python.org, your system, pyenv, `uv python install 3.13`) or say make PYTHON=/path/to/python.\n' >&2
    return 1
}

if [ "${1:-}" = --which ]; then
    find_python
    exit
fi

# Runs, has the Python asked for, and lies where it was made: its scripts carry their own path.
stands() {
    suits "$VENV/bin/python" || return 1
    [ ! -f "$READY" ] || [ "$(head -n 1 "$READY")" = "$PWD" ] || return 1
    [ -z "$PYTHON" ] || [ "$("$PYTHON" -V)" = "$("$VENV/bin/python" -V)" ]
}

fingerprint=$PWD$'\n'$(cat requirements/dev.txt pyproject.toml scripts/bootstrap.sh | cksum)
if stands; then
    if [ "$(cat "$READY" 2>/dev/null)" = "$fingerprint" ]; then exit 0; fi
    say "The requirements changed: bringing $VENV up to date"
else
    python=$(find_python)
    say "Making the environment $VENV with $("$python" -V)"
    if [ -e "$VENV" ] && [ ! -f "$VENV/pyvenv.cfg" ]; then
        printf '%s exists and is no environment; it is left alone. Say make VENV=another-folder.\n' "$VENV" >&2
        exit 1
    fi
    rm -rf "$VENV"
    if ! "$python" -m venv "$VENV"; then
        printf 'This Python cannot make an environment; on Debian and Ubuntu install the package python3-venv.\n' >&2
        exit 1
    fi
fi

started=$SECONDS
"$VENV/bin/python" -m pip --version >/dev/null 2>&1 || "$VENV/bin/python" -m ensurepip --default-pip >/dev/null

say "Installing $(grep -c '==' requirements/dev.txt) pinned packages (a minute or two the first time; nothing leaves $VENV)"
"$VENV/bin/python" -m pip install -qq --disable-pip-version-check --no-input --require-hashes --only-binary :all: -r requirements/dev.txt
say "Installing langyard itself, editable"
"$VENV/bin/python" -m pip install -qq --disable-pip-version-check --no-input --no-deps --no-build-isolation --editable .
printf '%s\n' "$fingerprint" >"$READY"
say "Ready after $((SECONDS - started)) s"
