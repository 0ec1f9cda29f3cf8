#!/bin/sh
# Creates the virtual environment in $1 with the first Python that is new enough: $PYTHON, python3, python3.14 ... 3.11.
set -eu
venv=$1
candidates="python3 python3.14 python3.13 python3.12 python3.11"
old=""
for python in ${PYTHON:-$candidates}; do
    command -v "$python" >/dev/null 2>&1 || continue
    if "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
            echo "$python cannot create virtual environments: install its 'venv' package (python3-venv on Debian)" >&2
            exit 1
        fi
        echo "Creating $venv with $("$python" --version 2>&1) ($python)" >&2
        exec "$python" -m venv --clear "$venv"
    fi
    version=$("$python" --version 2>&1) && old="$old; $python is $version"
done
echo "Python 3.11 or newer is needed${old:-, and none was found}: install it, or run 'make PYTHON=/path/to/python3 setup'" >&2
exit 1
