"""The order in which a toolchain is looked for: PATH, the cache, the official release, the Go module."""

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from . import host, layout, official, source
from .errors import UnavailableError
from .layout import PROGRAMS, VERSION

Way = tuple[str, Callable[[Path], None]]
WAYS: dict[str, Way] = {
    "release": ("downloading the official release", official.fill),
    "source": ("building it with Go", source.fill),
}
_VERSION_TIMEOUT_S = 60


@dataclass(frozen=True)
class Found:
    """A usable toolchain: the folder of its programs and where it came from ("path", "release" or "source")."""

    folder: Path
    origin: str
    fresh: bool


def resolve(env: Mapping[str, str], ways: Sequence[Way], say: Callable[[str], None]) -> Found:
    """Find a toolchain, or make one by the first of `ways` that works.

    A finished one is found at once; nothing half-made is ever found. Raises `UnavailableError` with one sentence.
    """
    cache = layout.cache_root(env)
    found = on_path(env, cache) or in_cache(cache)
    if found is not None:
        return found
    reasons = []
    with layout.locked(cache):
        found = in_cache(cache)
        if found is not None:
            return found
        for label, fill in ways:
            say(f"Pulumi v{VERSION} is not here yet: {label}")
            try:
                _make(cache, fill)
            except UnavailableError as error:
                reasons.append(str(error))
                say(f"  {error}")
                continue
            made = in_cache(cache)
            if made is not None:
                return Found(made.folder, made.origin, fresh=True)
    msg = (
        f"Pulumi is not available on this machine ({'; '.join(reasons)}): install Pulumi and put it on PATH, or "
        "install Go and run 'make setup' again; everything that needs no Pulumi works without it."
    )
    raise UnavailableError(msg)


def on_path(env: Mapping[str, str], cache: Path) -> Found | None:
    """A toolchain that the machine brings itself. Links into our own cache do not count: the cache knows better."""
    places = [shutil.which(name, path=env.get("PATH", os.defpath)) for name in PROGRAMS]
    if None in places:
        return None
    folder = Path(str(places[0])).resolve().parent
    return None if folder.is_relative_to(cache.resolve()) else Found(folder, "path", fresh=False)


def in_cache(cache: Path) -> Found | None:
    """The pinned version from the cache; our own language host is brought up to this checkout's."""
    folder = layout.home(cache)
    if not layout.is_complete(folder):
        return None
    origin = (folder / "origin").read_text("utf-8").strip()
    if origin == "source":
        host.install(folder)
    return Found(folder / "bin", origin, fresh=False)


def given(cli: Path) -> Way:
    """A way that uses the CLI at `cli`, built elsewhere from the pinned version."""

    def fill(stage: Path) -> None:
        shutil.copyfile(cli, stage / "bin" / "pulumi")
        (stage / "bin" / "pulumi").chmod(0o755)
        source.finish(stage)

    return (f"taking {cli}", fill)


def link(found: Found, target: Path) -> None:
    """Make the cached programs available in `target` (the `bin` of a virtual environment)."""
    if found.origin == "path":
        return
    for name in PROGRAMS:
        place = target / name
        if place.is_symlink() and place.readlink() == found.folder / name:
            continue
        place.unlink(missing_ok=True)
        place.symlink_to(found.folder / name)


def _make(cache: Path, fill: Callable[[Path], None]) -> None:
    try:
        with layout.staged(cache) as stage:
            fill(stage)
            _check(stage)
    except OSError as error:
        raise UnavailableError(str(error)) from error


def _check(stage: Path) -> None:
    if not layout.is_complete(stage):
        msg = f"it lacks one of {', '.join(PROGRAMS)}"
        raise UnavailableError(msg)
    asked = [str(stage / "bin" / "pulumi"), "version"]
    env = {**os.environ, "PULUMI_SKIP_UPDATE_CHECK": "true"}
    try:
        run = subprocess.run(asked, env=env, capture_output=True, text=True, timeout=_VERSION_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        run = subprocess.CompletedProcess(asked, 1, "", "")
    if run.stdout.strip() != f"v{VERSION}":
        msg = f"'pulumi version' says {run.stdout.strip() or 'nothing'} instead of v{VERSION}"
        raise UnavailableError(msg)
