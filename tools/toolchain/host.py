"""Packs our language host for the cache: one archive and a launcher that finds a Python with the SDK."""

import io
import zipfile
from pathlib import Path

from .layout import VERSION, replace

_LAUNCHER = """#!/bin/sh
# Starts the language host on the first Python that has the Pulumi SDK: $ECM_PYTHON, the .venv of the project
# (the folder here or above), $VIRTUAL_ENV, python3.
bin=$(dirname -- "$(readlink -f -- "$0")")
try() {
    [ -n "$1" ] || return 0
    command -v -- "$1" >/dev/null 2>&1 || return 0
    "$1" -c 'import importlib.util as u, sys; sys.exit(not (u.find_spec("pulumi") and u.find_spec("grpc")))' \\
        2>/dev/null || return 0
    python=$1
    shift
    exec "$python" "$bin/../lib/language_host.pyz" \\
        --executor "$bin/pulumi-language-python-exec" --host-version @VERSION@ "$@"
}
try "$ECM_PYTHON" "$@"
folder=$PWD
while :; do
    try "$folder/.venv/bin/python" "$@"
    [ "$folder" = / ] && break
    folder=$(dirname -- "$folder")
done
[ -n "$VIRTUAL_ENV" ] && try "$VIRTUAL_ENV/bin/python" "$@"
try python3 "$@"
echo "pulumi-language-python: no Python with the Pulumi SDK was found; run 'make setup' in the project" >&2
exit 1
"""

_MAIN = "from language_host.server import main\n\nmain()\n"
# A fixed date makes the same sources the same bytes, so that an unchanged host is not written again.
_DATE = (1980, 1, 1, 0, 0, 0)


def archive() -> bytes:
    """The host's modules as a runnable archive."""
    sources = Path(__file__).parent / "language_host"
    files = {"__main__.py": _MAIN} | {f"language_host/{p.name}": p.read_text("utf-8") for p in sources.glob("*.py")}
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as packed:
        for name in sorted(files):
            packed.writestr(zipfile.ZipInfo(name, _DATE), files[name])
    return out.getvalue()


def install(folder: Path) -> None:
    """Put launcher and archive of this checkout into the toolchain at `folder`; does nothing when they are there."""
    replace(folder / "lib" / "language_host.pyz", archive(), 0o644)
    launcher = _LAUNCHER.replace("@VERSION@", VERSION)
    replace(folder / "bin" / "pulumi-language-python", launcher.encode(), 0o755)
