#!/usr/bin/env bash
# Pins what pyproject.toml asks for into requirements/, with hashes, for every platform and Python 3.11 to 3.13.
# `make lock` calls it; arguments go to uv: `scripts/lock.sh --upgrade`, `scripts/lock.sh --upgrade-package fastapi`.
set -euo pipefail
cd "$(dirname "$0")/.."
UV=${UV:-.venv/bin/uv}

# The lock must read the same whoever makes it: no index, mirror or folder of this machine may decide or be written down.
unset UV_FIND_LINKS UV_INDEX UV_EXTRA_INDEX_URL UV_CONSTRAINT UV_OVERRIDE

compile() { # <output> <what it is for> <arguments of uv pip compile ...>
    local output=$1 purpose=$2 body
    shift 2
    body=$(mktemp)
    if [ -f "$output" ]; then cp "$output" "$body"; fi # the present pins are kept unless --upgrade says otherwise
    "$UV" pip compile pyproject.toml --quiet --no-config --universal --python-version 3.11 --generate-hashes \
        --no-header --no-annotate --no-emit-index-url --no-emit-find-links --output-file "$body" "$@" >/dev/null
    {
        printf '# %s\n# Made by `make lock` from pyproject.toml; not edited by hand.\n' "$purpose"
        cat "$body"
    } >"$output"
    rm -f "$body"
    printf '%s: %s packages\n' "$output" "$(grep -c '^[a-z0-9].*==' "$output")"
}

compile requirements/runtime.txt "What \`langyard serve\` needs, with all its extras." --all-extras "$@"
compile requirements/dev.txt "The runtime, and what tests, checks and the example need." --all-extras --group dev \
    --constraints requirements/runtime.txt "$@"
