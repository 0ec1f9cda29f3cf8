"""Fixtures of the end-to-end tests. A module is one scenario on one stack: run in parallel, use `--dist loadfile`.

Fixtures of a module are its steps: each returns a record of what was before and after it, so that a test reads a record
and does not depend on which tests ran before it.
"""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from ecm.engine import MissingPulumi, Toolchain, locate
from tests.e2e.project import Project, open_project

Start = Callable[[str], Project]


@pytest.fixture(scope="session")
def toolchain() -> Toolchain:
    try:
        return locate(os.environ)
    except MissingPulumi as missing:
        if os.environ.get("ECM_REQUIRE_ENGINE"):
            pytest.fail(str(missing))
        pytest.skip(str(missing))


@pytest.fixture(scope="module")
def start(toolchain: Toolchain, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Open projects of a stack; each is closed, with its AWS, after the module's last test."""
    with contextlib.ExitStack() as opened:
        yield lambda stack: opened.enter_context(open_project(tmp_path_factory.mktemp(stack), stack, toolchain))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests state about their data, such as a trace's shift, and how many faults were tried."""
    _print_faults(terminalreporter)
    reports = (r for r in terminalreporter.getreports("passed") if r.when == "call")
    stated = [text for report in reports for key, text in report.user_properties if key == "states"]
    if stated:
        terminalreporter.section("data")
        for text in stated:
            terminalreporter.write_line(str(text))


def _print_faults(terminalreporter: pytest.TerminalReporter) -> None:
    """Print how many faults were tried and survived, also where a test failed."""
    reports = [*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")]
    found = [
        tuple(one) for r in reports if r.when == "call" for k, v in r.user_properties if k == "faults" for one in v
    ]
    if not found:
        return
    tried, survived = Counter(kind for kind, _ in found), Counter(kind for kind, well in found if well)
    terminalreporter.section("faults")
    named = ", ".join(f"{kind} {survived[kind]} of {tried[kind]}" for kind in sorted(tried))
    terminalreporter.write_line(f"{tried.total()} tried, {survived.total()} survived: {named}")
