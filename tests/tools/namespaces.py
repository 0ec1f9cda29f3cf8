"""Scratch network namespaces and the real tools, or a clear reason why they cannot be used here."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest


def need(*tools: str, root: bool = True) -> None:
    """Skip the test when a tool is absent, or when namespaces cannot be made."""
    missing = [t for t in tools if shutil.which(t) is None]
    if missing:
        pytest.skip(
            f"not installed: {', '.join(missing)} (Debian: wireguard-tools wireguard-go nftables bird2 iproute2)"
        )
    if root and os.geteuid() != 0:
        pytest.skip("needs root: network namespaces and nftables are the administrator's")


def run(*command: str, stdin: str | None = None, check: bool = True) -> str:
    """Run a command; its output, or an assertion that shows what it said."""
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=60, check=False)
    assert not check or done.returncode == 0, f"{' '.join(command)}: {done.stdout}{done.stderr}"
    return done.stdout


def inside(namespace: str, *command: str, stdin: str | None = None, check: bool = True) -> str:
    """Run a command in a namespace."""
    return run("ip", "netns", "exec", namespace, *command, stdin=stdin, check=check)


@contextmanager
def namespace(name: str) -> Iterator[str]:
    """A namespace with its loopback up, gone afterwards."""
    made = f"{name}-{os.getpid()}"
    run("ip", "netns", "add", made)
    try:
        run("ip", "-n", made, "link", "set", "lo", "up")
        yield made
    finally:
        run("ip", "netns", "del", made)


def until(condition: object, seconds: float, what: str) -> float:
    """Wait until `condition()` holds; the seconds that it took."""
    start = time.monotonic()
    while not condition():  # type: ignore[operator]
        assert time.monotonic() - start < seconds, f"not within {seconds} s: {what}"
        time.sleep(0.02)
    return time.monotonic() - start
