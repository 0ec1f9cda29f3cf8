"""The real engine, its command line and the Python language host, on programs that need no cloud."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ecm.engine import CommandFailed, MissingPulumi, Options, Stack, locate

pytestmark = pytest.mark.engine
ROOT = Path(__file__).parents[2]

PROGRAM = """
import pulumi

class Part(pulumi.ComponentResource):
    def __init__(self, name):
        super().__init__("test:index:Part", name)
        self.register_outputs({})

config = pulumi.Config()
before = pulumi.StackReference(f"organization/{pulumi.get_project()}/{pulumi.get_stack()}")
for name in config.require("parts").split(","):
    Part(name)
pulumi.export("parts", config.require("parts"))
pulumi.export("before", before.get_output("parts"))
"""


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    state = tmp_path / "state"
    state.mkdir()
    project = tmp_path / "project"
    project.mkdir()
    (project / "Pulumi.yaml").write_text(
        "name: trivial\nruntime: {name: python, options: {toolchain: pip, virtualenv: .venv}}\n"
    )
    env = {key: value for key, value in os.environ.items() if not key.startswith("PULUMI_")} | {
        "PULUMI_BACKEND_URL": state.as_uri(),
        "PULUMI_CONFIG_PASSPHRASE": "only for this test",
        "PULUMI_HOME": str(tmp_path / "home"),
    }
    try:
        toolchain = locate(env)
    except MissingPulumi as missing:
        if os.environ.get("ECM_REQUIRE_ENGINE"):
            pytest.fail(str(missing))
        pytest.skip(str(missing))
    made = Stack(toolchain, project, "dev", env)
    made.select(create=True)
    yield made
    assert none_within(tmp_path, 5) == [], "something outlived the test"


def processes(marker: Path) -> list[str]:
    """The command lines of the processes whose environment names `marker`."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            mine = str(marker).encode() in (folder / "environ").read_bytes()
            line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if mine and line and int(folder.name) != os.getpid():
            found.append(line)
    return found


def none_within(marker: Path, seconds: float) -> list[str]:
    end = time.monotonic() + seconds
    while (left := processes(marker)) and time.monotonic() < end:
        time.sleep(0.1)
    return left


def test_life_of_a_stack(stack: Stack) -> None:
    (stack.project / "__main__.py").write_text(PROGRAM)
    stack.set_config("parts", "a,b")
    assert stack.config() == {"trivial:parts": "a,b"}

    preview = stack.preview()
    assert preview.ok, preview.output
    assert {(s.name, s.op, s.state) for s in preview.changes} == {
        (name, "create", "planned") for name in ("trivial-dev", "a", "b")
    }
    assert preview.count("create") == 3

    seen: list[tuple[str, str]] = []
    first = stack.up(on_progress=lambda p: seen.append((p.step.name, p.step.state)))
    assert first.ok, first.output
    assert {("a", "started"), ("a", "done"), ("b", "done")} <= set(seen)
    assert stack.outputs()["parts"] == "a,b"

    stack.up()
    assert stack.outputs() == {"parts": "a,b", "before": "a,b"}
    assert stack.up(Options(expect_no_changes=True)).ok

    stack.set_config("parts", "b,c")
    changed = stack.preview(Options(expect_no_changes=True))
    assert changed.unexpected_changes
    assert {(s.name, s.op) for s in changed.changes} == {("a", "delete"), ("c", "create")}
    assert stack.up().ok
    assert stack.outputs()["before"] == "a,b"

    gone = stack.destroy()
    assert gone.ok, gone.output
    assert len(stack.state()["deployment"].get("resources", [])) == 0
    stack.remove()
    assert not stack.exists()


def test_failing_program_tells_why(stack: Stack) -> None:
    (stack.project / "__main__.py").write_text(
        "import pulumi\nraise pulumi.RunError('plan sha256:00 is not approved')\n"
    )
    outcome = stack.preview()
    assert (outcome.ok, outcome.result) == (False, "failed")
    assert any("plan sha256:00 is not approved" in d.message for d in outcome.errors)

    (stack.project / "__main__.py").write_text("def deep():\n    return 1 / 0\n\ndeep()\n")
    said = "\n".join(d.message for d in stack.up().errors)
    assert "ZeroDivisionError" in said
    assert "in deep" in said


def test_program_runs_in_the_virtual_environment_of_the_project(stack: Stack) -> None:
    python = stack.project / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nMARK=venv exec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    (stack.project / "__main__.py").write_text(
        "import os, pulumi\n"
        "pulumi.export('mark', os.environ['MARK'])\n"
        "pulumi.export('venv', os.environ['VIRTUAL_ENV'])\n"
    )
    outcome = stack.up()
    assert outcome.ok, outcome.output
    assert stack.outputs() == {"mark": "venv", "venv": str(stack.project / ".venv")}


def test_wrong_passphrase_is_refused(stack: Stack) -> None:
    (stack.project / "__main__.py").write_text("import pulumi\n")
    other = Stack(stack.toolchain, stack.project, "dev", {**stack.env, "PULUMI_CONFIG_PASSPHRASE": "another"})
    outcome = other.up()
    assert not outcome.ok
    assert "incorrect passphrase" in outcome.output
    with pytest.raises(CommandFailed, match="no stack named 'nowhere'"):
        Stack(stack.toolchain, stack.project, "nowhere", stack.env).outputs()


DRIVER = """
import os, sys
from pathlib import Path
from ecm.engine import Stack, locate
print(Stack(locate(os.environ), Path(sys.argv[1]), "dev", os.environ).up().result)
"""


def driven(stack: Stack) -> subprocess.Popen[str]:
    """An `up` in a process of its own, of a program that has begun and does not end."""
    begun = stack.project / "begun"
    (stack.project / "__main__.py").write_text(
        f"import pathlib, time\npathlib.Path({str(begun)!r}).touch()\ntime.sleep(120)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(stack.project)],
        env={**stack.env, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    end = time.monotonic() + 30
    while not begun.exists():
        assert time.monotonic() < end, "the program did not begin"
        time.sleep(0.05)
    return process


def test_interrupt_leaves_no_process(stack: Stack, tmp_path: Path) -> None:
    process = driven(stack)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=30)
    assert out == "cancelled\n"
    assert none_within(tmp_path, 5) == []
    (stack.project / "__main__.py").write_text("import pulumi\n")
    assert stack.up().ok, "the interrupted operation must not leave the stack locked"


def test_killed_engine_takes_its_program_along(stack: Stack, tmp_path: Path) -> None:
    process = driven(stack)
    [engine] = [
        int(folder.name)
        for folder in Path("/proc").glob("[0-9]*")
        if _parent(folder) == process.pid and (folder / "comm").read_text().strip() == "pulumi"
    ]
    os.kill(engine, signal.SIGKILL)
    out, _ = process.communicate(timeout=30)
    assert out == "failed\n"
    assert none_within(tmp_path, 10) == []


def _parent(folder: Path) -> int:
    try:
        return int((folder / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0
