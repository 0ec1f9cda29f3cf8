"""Where the toolchain lies in the cache, and how it gets there in one step.

    <cache>/pulumi/v3.250.0/bin/pulumi                       the CLI, with the engine in it
    <cache>/pulumi/v3.250.0/bin/pulumi-language-python       language host (official, or a launcher of ours)
    <cache>/pulumi/v3.250.0/bin/pulumi-language-python-exec  the SDK's script that runs a program
    <cache>/pulumi/v3.250.0/lib/language_host.pyz            our host, when the CLI was built from source
    <cache>/pulumi/v3.250.0/origin                           "release" or "source"

`<cache>` is $ECM_CACHE or `~/.cache/endpoint-chain-manager` (under $XDG_CACHE_HOME where that is set).
"""

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

VERSION = "3.250.0"
"""The pinned release; go.mod names the same one."""

PROGRAMS = ("pulumi", "pulumi-language-python", "pulumi-language-python-exec")
"""What must lie beside each other for the engine to run a Python program."""


def cache_root(env: Mapping[str, str]) -> Path:
    """The project's cache folder; $ECM_CACHE wins over $XDG_CACHE_HOME over the home folder."""
    if env.get("ECM_CACHE"):
        return Path(env["ECM_CACHE"]).expanduser()
    base = Path(env["XDG_CACHE_HOME"]) if env.get("XDG_CACHE_HOME") else Path.home() / ".cache"
    return base / "endpoint-chain-manager"


def home(cache: Path) -> Path:
    """The folder of the pinned version; it exists only when it is complete."""
    return cache / "pulumi" / f"v{VERSION}"


def is_complete(folder: Path) -> bool:
    """Whether `folder` holds every program, executable, and its origin."""
    return (folder / "origin").is_file() and all(os.access(folder / "bin" / name, os.X_OK) for name in PROGRAMS)


@contextlib.contextmanager
def locked(cache: Path) -> Iterator[None]:
    """One set-up at a time for each version: a second one waits and then finds the first one's result."""
    home(cache).parent.mkdir(parents=True, exist_ok=True)
    with (home(cache).parent / f"v{VERSION}.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def staged(cache: Path) -> Iterator[Path]:
    """An empty folder to fill; it becomes `home` by one rename at the end, or nothing remains of it.

    Hold `locked`: folders that a killed set-up has left are removed here.
    """
    target = home(cache)
    for stale in target.parent.glob(f".partial-v{VERSION}-*"):
        shutil.rmtree(stale, ignore_errors=True)
    stage = Path(tempfile.mkdtemp(prefix=f".partial-v{VERSION}-", dir=target.parent))
    try:
        (stage / "bin").mkdir()
        yield stage
        stage.chmod(0o755)
        if target.exists():
            shutil.rmtree(target)
        stage.rename(target)
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def replace(path: Path, content: bytes, mode: int) -> None:
    """Write `content` to `path` in one step; leave it alone when it already is that."""
    if path.is_file() and path.read_bytes() == content:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    with os.fdopen(handle, "wb") as out:
        out.write(content)
    Path(name).chmod(mode)
    Path(name).replace(path)
