"""A real browser for tests of pages: headless Chromium, what it printed and what its console said."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest


def require_chromium() -> str:
    """Return the program, or skip: in CI a missing browser is a failure."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        if os.environ.get("ECM_REQUIRE_TOOLS"):
            pytest.fail("Chromium is not installed")
        pytest.skip("needs Chromium")
    return found


def browse(chromium: str, home: Path, *words: str) -> tuple[str, str]:
    """Run headless Chromium and return what it printed, and its console."""
    options = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--enable-logging=stderr")
    command = [chromium, *options, f"--user-data-dir={home / 'profile'}", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout, "\n".join(line for line in done.stderr.splitlines() if "CONSOLE" in line)
