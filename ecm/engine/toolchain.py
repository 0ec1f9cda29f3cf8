"""Where the Pulumi CLI and its Python language host are: on PATH, else in the project's cache folder."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ecm.engine.errors import MissingPulumi

PINNED = "3.250.0"
"""The release that set-up downloads or builds; tools/toolchain/go.mod names the same one."""

OLDEST = (3, 231, 0)
"""The oldest CLI that can be used: pulumi-aws 7.51 requires the SDK from 3.231 on, and the SDK a CLI of its time."""

_PROGRAMS = ("pulumi", "pulumi-language-python", "pulumi-language-python-exec")
_REMEDY = "run 'make setup' (it downloads or builds Pulumi) or install Pulumi and put it on PATH"
_VERSION_TIMEOUT_S = 30


@dataclass(frozen=True)
class Toolchain:
    """A CLI with its language host. `folder` goes in front of PATH; it is None when PATH already has everything."""

    cli: Path
    folder: Path | None
    version: str


def cache_folder(env: Mapping[str, str]) -> Path:
    """The folder that set-up puts the pinned toolchain into: $ECM_CACHE, else under $XDG_CACHE_HOME or ~/.cache."""
    if env.get("ECM_CACHE"):
        root = Path(env["ECM_CACHE"]).expanduser()
    else:
        base = Path(env["XDG_CACHE_HOME"]) if env.get("XDG_CACHE_HOME") else Path(env.get("HOME", "~")) / ".cache"
        root = base.expanduser() / "endpoint-chain-manager"
    return root / "pulumi" / f"v{PINNED}" / "bin"


def locate(env: Mapping[str, str]) -> Toolchain:
    """The toolchain to use with the environment `env` (PATH, HOME, ECM_CACHE).

    Raises `MissingPulumi` when there is none, or when the one on PATH is too old and the cache has none.
    """
    folder = cache_folder(env)
    path = env.get("PATH", os.defpath)
    found = {name: shutil.which(name, path=path) for name in _PROGRAMS}
    cli = found["pulumi"]
    problem = "the Pulumi command line was not found on PATH or in the cache folder"
    if cli is not None and not _is_ours(cli, folder):
        missing = [name for name, place in found.items() if place is None]
        version = _version(cli, env)
        if not missing and version >= OLDEST:
            return Toolchain(Path(cli), None, ".".join(map(str, version)))
        problem = _why_not(cli, missing, version)
    if all(os.access(folder / name, os.X_OK) for name in _PROGRAMS):
        return Toolchain(folder / "pulumi", folder, PINNED)
    msg = f"{problem}: {_REMEDY}"
    raise MissingPulumi(msg)


def _is_ours(cli: str, folder: Path) -> bool:
    """Whether PATH leads into the cache: set-up may have linked it there, and the cache knows its version."""
    return Path(cli).resolve().parent == folder.resolve()


def _why_not(cli: str, missing: list[str], version: tuple[int, ...]) -> str:
    if missing:
        return f"{cli} has no Python language host beside it ({', '.join(missing)} not on PATH)"
    want = ".".join(map(str, OLDEST))
    return f"{cli} is version {'.'.join(map(str, version)) or 'unknown'}, older than {want}"


def _version(cli: str, env: Mapping[str, str]) -> tuple[int, ...]:
    """The CLI's version, or nothing when it does not tell."""
    asked = {**env, "PULUMI_SKIP_UPDATE_CHECK": "true"}
    try:
        run = subprocess.run(
            [cli, "version"], env=asked, capture_output=True, text=True, timeout=_VERSION_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ()
    match = re.search(r"v?(\d+)\.(\d+)\.(\d+)", run.stdout)
    return tuple(int(part) for part in match.groups()) if match else ()
