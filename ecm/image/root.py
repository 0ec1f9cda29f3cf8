"""Builds the root file system: Debian's packages, the agent, the files of `tree/`, and a manifest of every version."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Final

from ecm.image.recipe import Arch, ImageError, Recipe, host_architecture

AGENT_PATH: Final = "opt/ecm"
MANIFEST: Final = "etc/ecm-image.json"
STEPS: Final = ("packages", "versions", "agent", "files", "finish", "manifest")


@dataclass(frozen=True)
class Build:
    """One build."""

    recipe: Recipe
    arch: Arch
    source: Path
    """The project: templates/image, requirements.lock and the package `ecm`."""
    root: Path
    """Where the root file system goes; must not exist."""
    cache: Path
    """Debian packages and wheels that were fetched before."""
    mirror: str | None = None
    """Of Debian; none: debootstrap's own."""
    with_boot: bool = False
    """Kernel, boot loader and cloud-init, too."""


def build_root(build: Build, said: Callable[[str], None]) -> dict[str, str]:
    """Build the root file system and return the version of every package; `said` hears each step's name.

    ImageError where a tool or a right is missing, a package has another version than the recipe, or a step fails; what
    was made until then is removed.
    """
    _can_build(build)
    try:
        for name, step in zip(STEPS[:-1], (_packages, _versions, _agent, _files, _finish), strict=True):
            said(name)
            step(build)
        said(STEPS[-1])
        return _manifest(build)
    except BaseException:
        shutil.rmtree(build.root, ignore_errors=True)
        raise


def _can_build(build: Build) -> None:
    if os.geteuid() != 0:
        raise ImageError("building an image needs root: it makes device files and owners; run it as root or with sudo")
    if shutil.which("debootstrap") is None:
        raise ImageError("debootstrap is not installed; on Debian: apt-get install debootstrap")
    if build.root.exists():
        raise ImageError(f"{build.root} exists; remove it, or name another folder")
    handler = {Arch.ARM64: "qemu-aarch64", Arch.AMD64: "qemu-x86_64"}[build.arch]
    if build.arch is not host_architecture() and not Path("/proc/sys/fs/binfmt_misc", handler).exists():
        raise ImageError(
            f"this machine cannot run {build.arch} programs; build on such a machine, or install qemu-user-static"
        )


def _packages(build: Build) -> None:
    debs = build.cache / f"{build.recipe.suite}-{build.arch}"
    debs.mkdir(parents=True, exist_ok=True)
    boot = build.recipe.architectures[build.arch].boot if build.with_boot else ()
    _run(
        "debootstrap", "--variant=minbase", f"--arch={build.arch}", f"--cache-dir={debs.resolve()}",
        f"--include={','.join([*build.recipe.packages, *boot])}", build.recipe.suite, str(build.root),
        *([build.mirror] if build.mirror else []),
    )  # fmt: skip


def installed(root: Path) -> dict[str, str]:
    """Return the version of every package that dpkg has installed in `root`, with Debian's revision."""
    status = (root / "var/lib/dpkg/status").read_text(encoding="utf-8")
    blocks = (dict(re.findall(r"^(Package|Version|Status): (.*)$", b, re.MULTILINE)) for b in status.split("\n\n"))
    return {b["Package"]: b["Version"] for b in blocks if b.get("Status") == "install ok installed"}


def upstream(version: str) -> str:
    """Return the upstream part of one of Debian's versions."""
    return version.partition(":")[2].rpartition("-")[0] if ":" in version else version.rpartition("-")[0] or version


def wrong_versions(recipe: Recipe, found: dict[str, str]) -> list[str]:
    """Say which packages are absent or have another version than the recipe."""
    wrong = []
    for name, wanted in sorted(recipe.packages.items()):
        have = found.get(name)
        if have is None or not re.match(rf"{re.escape(wanted)}(?![0-9])", upstream(have)):
            wrong.append(f"{name} is {have or 'absent'}, the recipe wants {wanted}")
    return wrong


def _versions(build: Build) -> None:
    wrong = wrong_versions(build.recipe, installed(build.root))
    if wrong:
        raise ImageError(f"{'; '.join(wrong)}: use a mirror that has them, or change templates/image/recipe.yaml")


def _agent(build: Build) -> None:
    """Install what the agent needs, as the lock has it by hash, and the package itself; nothing is compiled."""
    target = build.root / AGENT_PATH
    lock = build.cache / f"agent-{build.arch}.lock"
    project, pins = ((build.source / n).read_text(encoding="utf-8") for n in ("pyproject.toml", "requirements.lock"))
    lock.write_text(agent_lock(project, pins), encoding="utf-8")
    machine = build.recipe.architectures[build.arch]
    python = ".".join(build.recipe.packages["python3"].split(".")[:2])
    _run(
        sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--target", str(target),
        "--no-deps", "--require-hashes", "--only-binary=:all:", "--python-version", python,
        "--platform", machine.wheels, "--platform", machine.wheels.replace("2014", "_2_28"), "--platform", "any",
        "--cache-dir", str((build.cache / "wheels").resolve()), "--no-compile", "--requirement", str(lock),
    )  # fmt: skip
    shutil.rmtree(target / "bin", ignore_errors=True)
    kept = shutil.ignore_patterns("__pycache__")
    for part in ("__init__.py", "files.py"):
        (target / "ecm").mkdir(exist_ok=True)
        shutil.copy(build.source / "ecm" / part, target / "ecm" / part)
    for part in ("agent", "signing", "model", "aws"):
        shutil.copytree(build.source / "ecm" / part, target / "ecm" / part, ignore=kept)
    (target / "ecm/cli").mkdir()
    for part in ("__init__.py", "__main__.py"):
        shutil.copy(build.source / "ecm/cli" / part, target / "ecm/cli" / part)


def agent_lock(project: str, lock: str) -> str:
    """Return the part of a lock that the project's base installation needs: pins and hashes, nothing else.

    `project` and `lock` are the texts of pyproject.toml and requirements.lock.
    """
    texts = re.findall(r"^[A-Za-z0-9._-]+==[^\n]*(?:\n[ \t]+[^\n]*)*", lock, re.MULTILINE)
    found = {_plain(text.partition("==")[0]): text for text in texts}
    left = [_needed(line) for line in tomllib.loads(project)["project"]["dependencies"]]
    wanted: set[str] = set()
    while left:
        name, always = left.pop()
        if name not in found and always:
            raise ImageError(f"requirements.lock lacks {name}: run make lock")
        if name in found and name not in wanted:
            wanted.add(name)
            left += [_needed(line) for line in metadata.requires(name) or () if "extra ==" not in line]
    return "\n".join(found[name] for name in sorted(wanted)) + "\n"


def _needed(line: str) -> tuple[str, bool]:
    """Return the package that a requirement names, and whether it is needed everywhere."""
    name = re.match(r"[A-Za-z0-9._-]+", line)
    return _plain(name[0] if name else line), ";" not in line


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _files(build: Build) -> None:
    tree = build.source / "templates/image/tree"
    for path in sorted(p for p in tree.rglob("*") if p.is_file()):
        target = build.root / path.relative_to(tree)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
        target.chmod(0o644)


def _finish(build: Build) -> None:
    script = build.root / "finish.sh"
    shutil.copy(build.source / "templates/image/finish.sh", script)
    try:
        _run("chroot", str(build.root), "/bin/sh", "/finish.sh")
    finally:
        script.unlink(missing_ok=True)


def _manifest(build: Build) -> dict[str, str]:
    found = installed(build.root)
    document = {"suite": build.recipe.suite, "architecture": build.arch.value, "packages": found}
    (build.root / MANIFEST).write_text(json.dumps(document, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return found


def _run(*command: str) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise ImageError(f"{command[0]} ended with {done.returncode}: {_last(done.stdout, done.stderr)}")


def _last(*texts: str) -> str:
    lines: Sequence[str] = [line for text in texts for line in text.splitlines() if line.strip()]
    return " / ".join(lines[-3:]) or "without a word"
