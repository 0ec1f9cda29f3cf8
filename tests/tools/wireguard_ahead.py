"""A wireguard-go whose clock is ahead: built from its Go module with one line changed, kept outside the checkout.

For tests only: handshakes of this program carry a time that lies `WG_AHEAD_S` seconds in the future.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

MODULE = "golang.zx2c4.com/wireguard"
VERSION = "v0.0.0-20260522210424-ecfc5a8d5446"
NOW = "return stamp(time.Now())"
AHEAD = (
    'ahead, _ := strconv.Atoi(os.Getenv("WG_AHEAD_S"))\n'
    "\treturn stamp(time.Now().Add(time.Duration(ahead) * time.Second))"
)


def build() -> Path:
    """Return the program, built when it is not in the cache; the test is skipped where Go or the module is absent."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ecm" / "wireguard-ahead"
    program = cache / VERSION / "wireguard-go"
    if program.exists():
        return program
    go = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")
    if go is None:
        pytest.skip("needs Go: wireguard-go is built from its module with another clock")
    source = cache / f"source-{os.getpid()}"
    shutil.rmtree(source, ignore_errors=True)
    source.mkdir(parents=True)
    try:
        _make(go, source, program)
    finally:
        subprocess.run(["chmod", "-R", "u+w", str(source)], check=False)
        shutil.rmtree(source, ignore_errors=True)
    return program


def _make(go: str, source: Path, program: Path) -> None:
    fetched = subprocess.run(
        [go, "mod", "download", "-json", f"{MODULE}@{VERSION}"], cwd=source, capture_output=True, text=True, check=False
    )
    if fetched.returncode:
        pytest.skip(f"{MODULE} cannot be fetched: {(fetched.stderr or fetched.stdout).strip()[-200:]}")
    tree = source / "tree"
    shutil.copytree(json.loads(fetched.stdout)["Dir"], tree)
    subprocess.run(["chmod", "-R", "u+w", str(tree)], check=True)
    clock = tree / "tai64n" / "tai64n.go"
    text = clock.read_text()
    assert text.count(NOW) == 1, "the module's clock is read elsewhere now: change AHEAD"
    clock.write_text(text.replace(NOW, AHEAD).replace("import (\n", 'import (\n\t"os"\n\t"strconv"\n', 1))
    built = tree / "wireguard-go"
    done = subprocess.run(
        [go, "build", "-p", "1", "-o", str(built), "."], cwd=tree, capture_output=True, text=True, check=False,
        env={**os.environ, "CGO_ENABLED": "0"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    program.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(built, program.with_suffix(f".{os.getpid()}"))
    program.with_suffix(f".{os.getpid()}").replace(program)
