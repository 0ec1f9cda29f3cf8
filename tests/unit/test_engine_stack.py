"""How the engine's command line is found and called, with a stand-in that records its calls."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from ecm.engine import CommandFailed, MissingPulumi, Options, PolicyPack, Stack, Toolchain, locate
from ecm.engine.toolchain import PINNED, cache_folder

CLI = """#!{python}
import json, os, signal, sys, time
calls = {calls!r}
with open(calls, "a") as f:
    f.write(json.dumps([sys.argv[1:], dict(os.environ), os.getpgrp() == os.getpid()]) + "\\n")
args = sys.argv[1:]
if args == ["version"]:
    print({version!r}); sys.exit()
say = lambda **event: (log.write(json.dumps(event) + "\\n"), log.flush())
if "--event-log" in args:
    log = open(args[args.index("--event-log") + 1], "a")
{body}
"""


def cli(folder: Path, body: str = "", version: str = f"v{PINNED}") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    calls = str(folder / "calls.jsonl")
    (folder / "pulumi").write_text(CLI.format(python=sys.executable, calls=calls, version=version, body=body))
    for name in ("pulumi-language-python", "pulumi-language-python-exec"):
        (folder / name).write_text("#!/bin/sh\n")
    for path in folder.iterdir():
        path.chmod(0o755)
    return folder


def calls(folder: Path) -> list[list[Any]]:
    return [json.loads(line) for line in (folder / "calls.jsonl").read_text().splitlines()]


def stack(tmp_path: Path, body: str = "", **env: str) -> Stack:
    folder = cli(tmp_path / "bin", body)
    return Stack(Toolchain(folder / "pulumi", folder, PINNED), tmp_path, "dev", {"PATH": os.defpath, **env})


class TestLocate:
    def test_path_first(self, tmp_path: Path) -> None:
        folder = cli(tmp_path / "usr", version="v3.260.0")
        cli(cache_folder({"ECM_CACHE": str(tmp_path)}))
        found = locate({"PATH": str(folder), "ECM_CACHE": str(tmp_path)})
        assert found == Toolchain(folder / "pulumi", None, "3.260.0")

    def test_cache_where_path_has_none(self, tmp_path: Path) -> None:
        folder = cli(cache_folder({"ECM_CACHE": str(tmp_path)}))
        assert locate({"PATH": "", "ECM_CACHE": str(tmp_path)}) == Toolchain(folder / "pulumi", folder, PINNED)

    def test_cache_instead_of_an_old_one_on_path(self, tmp_path: Path) -> None:
        old = cli(tmp_path / "usr", version="v3.100.0")
        folder = cli(cache_folder({"ECM_CACHE": str(tmp_path)}))
        assert locate({"PATH": str(old), "ECM_CACHE": str(tmp_path)}).folder == folder

    def test_missing_is_one_sentence_with_the_remedy(self, tmp_path: Path) -> None:
        with pytest.raises(MissingPulumi) as raised:
            locate({"PATH": str(tmp_path), "ECM_CACHE": str(tmp_path)})
        assert str(raised.value) == (
            "the Pulumi command line was not found on PATH or in the cache folder: "
            "run 'make setup' (it downloads or builds Pulumi) or install Pulumi and put it on PATH"
        )

    def test_too_old_names_the_versions(self, tmp_path: Path) -> None:
        old = cli(tmp_path / "usr", version="v3.100.0")
        with pytest.raises(MissingPulumi, match=r"is version 3\.100\.0, older than 3\.231\.0"):
            locate({"PATH": str(old), "ECM_CACHE": str(tmp_path)})

    def test_without_language_host(self, tmp_path: Path) -> None:
        folder = cli(tmp_path / "usr")
        (folder / "pulumi-language-python").unlink()
        with pytest.raises(MissingPulumi, match=r"no Python language host beside it \(pulumi-language-python not"):
            locate({"PATH": str(folder), "ECM_CACHE": str(tmp_path)})


def test_environment_is_the_caller_s_with_safe_switches(tmp_path: Path) -> None:
    given = {"PULUMI_BACKEND_URL": "file:///x", "PULUMI_CONFIG_PASSPHRASE_FILE": "/p", "AWS_PROFILE": "me"}
    made = stack(tmp_path, **given)
    made.preview()
    [[_, env, _]] = calls(tmp_path / "bin")
    assert {key: env[key] for key in given} == given
    assert "PULUMI_CONFIG_PASSPHRASE" not in env
    assert env["PULUMI_SKIP_UPDATE_CHECK"] == env["PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION"] == "true"
    assert env["PATH"].split(":")[0] == str(tmp_path / "bin")
    assert env["ECM_PYTHON"] == sys.executable


def test_caller_may_allow_downloads(tmp_path: Path) -> None:
    stack(tmp_path, PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION="false").preview()
    [[_, env, _]] = calls(tmp_path / "bin")
    assert env["PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION"] == "false"


def test_words_of_each_operation(tmp_path: Path) -> None:
    made = stack(tmp_path)
    options = Options(
        expect_no_changes=True, refresh=True, policy_packs=(PolicyPack(Path("/pack")),), parallel=4, message="why"
    )
    for operation in (made.preview, made.up, made.destroy):
        operation(options)
    made.drift()
    preview, up, destroy, drift = (row[0] for row in calls(tmp_path / "bin"))
    assert preview[0] == "preview"
    assert "--yes" not in preview
    assert up[:3] == ["up", "--yes", "--skip-preview"]
    assert destroy[:3] == ["destroy", "--yes", "--skip-preview"]
    assert drift[:2] == ["refresh", "--preview-only"]
    for words in (preview, up, destroy, drift):
        assert words[words.index("--stack") + 1] == "dev"
        assert {"--non-interactive", "--event-log", "--expect-no-changes"} <= set(words)
    assert up[up.index("--policy-pack") + 1] == "/pack"
    assert up[up.index("--parallel") + 1] == "4"
    assert "--policy-pack" not in destroy


OPERATION = """
urn = "urn:pulumi:dev::p::t::a"
say(resourcePreEvent={"metadata": {"op": "create", "urn": urn, "type": "t"}})
time.sleep(0.3)
say(resOpFailedEvent={"metadata": {"op": "create", "urn": urn, "type": "t"}})
say(diagnosticEvent={"severity": "error", "urn": urn, "message": "api error VcpuLimitExceeded: no"})
say(summaryEvent={"isPreview": False, "resourceChanges": {"same": 2}, "durationSeconds": 3, "result": "failed"})
print("Updating (dev)", flush=True); print("error: update failed", file=sys.stderr)
sys.exit(1)
"""


def test_failed_up_is_a_value(tmp_path: Path) -> None:
    heard: list[tuple[str, float]] = []
    began = time.monotonic()
    outcome = stack(tmp_path, OPERATION).up(
        on_progress=lambda p: heard.append((p.step.state, time.monotonic() - began))
    )
    ended = time.monotonic() - began
    assert (outcome.ok, outcome.result, outcome.exit_code, outcome.duration_s) == (False, "failed", 1, 3)
    assert [(s.name, s.state) for s in outcome.changes] == [("a", "failed")]
    assert [d.message for d in outcome.errors] == ["api error VcpuLimitExceeded: no"]
    assert (outcome.count("same"), outcome.count("create")) == (2, 0)
    assert outcome.output == "Updating (dev)\nerror: update failed"
    assert [state for state, _ in heard] == ["started", "failed"]
    assert heard[0][1] < ended - 0.2, "progress must come while the command runs"


@pytest.mark.parametrize(
    ("code", "result", "unexpected"), [(0, "succeeded", False), (7, "failed", True), (8, "cancelled", False)]
)
def test_exit_codes(tmp_path: Path, code: int, result: str, unexpected: bool) -> None:
    outcome = stack(tmp_path, f"sys.exit({code})").preview()
    assert (outcome.result, outcome.unexpected_changes, outcome.exit_code) == (result, unexpected, code)


def test_locked_stack(tmp_path: Path) -> None:
    body = "print('error: the stack is currently locked by 1 lock(s).', file=sys.stderr); sys.exit(1)"
    assert stack(tmp_path, body).up().locked


def test_event_log_is_private_and_removed(tmp_path: Path) -> None:
    body = "print(args[args.index('--event-log') + 1]); print(oct(os.stat(log.name).st_mode & 0o777))"
    name, mode = stack(tmp_path, body).preview().output.split("\n")
    assert mode == "0o600"
    assert not Path(name).parent.exists()


def test_short_commands(tmp_path: Path) -> None:
    body = (
        "if args[0] == 'config' and '--json' in args:\n"
        "    print(json.dumps({'p:a': {'value': '1', 'secret': False}, 'p:b': {'secret': True}}))\n"
        "elif args[:2] == ['stack', 'ls']:\n"
        "    print(json.dumps([{'name': 'organization/p/dev'}, {'name': 'prod'}]))\n"
        "elif args[:2] == ['stack', 'output']:\n"
        "    print(json.dumps({'nodes': {'a': 1}}))\n"
    )
    made = stack(tmp_path, body)
    assert made.config() == {"p:a": "1"}
    assert made.outputs() == {"nodes": {"a": 1}}
    assert made.exists()
    made.set_config("p:key", "-value")
    made.select(create=True)
    assert calls(tmp_path / "bin")[-2][0][-3:] == ["--", "p:key", "-value"]
    assert "--create" in calls(tmp_path / "bin")[-1][0]


def test_failing_short_command_says_what_pulumi_said(tmp_path: Path) -> None:
    made = stack(tmp_path, "print('error: no stack named dev', file=sys.stderr); sys.exit(6)")
    with pytest.raises(CommandFailed) as raised:
        made.outputs()
    assert raised.value.exit_code == 6
    assert str(raised.value) == "pulumi stack output failed with exit code 6: error: no stack named dev"


INTERRUPTIBLE = """
count = 0
def stop(*_):
    global count
    count += 1
signal.signal(signal.SIGINT, stop)
print("ready", flush=True)
open(calls + ".ready", "w").close()
end = time.monotonic() + 20
while count == 0 and time.monotonic() < end: time.sleep(0.02)
time.sleep(0.3)
print("interrupts:", count)
sys.exit(255)
"""

DRIVER = """
import os, sys
from pathlib import Path
from ecm.engine import Stack, Toolchain
folder = Path(sys.argv[1])
outcome = Stack(Toolchain(folder / "pulumi", folder, "3.250.0"), folder, "dev", os.environ).up()
print(outcome.result, "|", outcome.output.replace("\\n", " "))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_reaches_the_engine_once_and_is_waited_for(tmp_path: Path, number: signal.Signals) -> None:
    folder = cli(tmp_path / "bin", INTERRUPTIBLE)
    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(folder)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        process_group=0,
    )
    ready = folder / "calls.jsonl.ready"
    end = time.monotonic() + 20
    while not ready.exists():
        assert time.monotonic() < end
        time.sleep(0.02)
    os.killpg(driver.pid, number)
    out, _ = driver.communicate(timeout=20)
    assert out == "cancelled | ready interrupts: 1\n"


def test_operations_work_outside_the_main_thread(tmp_path: Path) -> None:
    made = stack(tmp_path, "print('done')")
    said: list[str] = []
    thread = threading.Thread(target=lambda: said.append(made.preview().output))
    thread.start()
    thread.join()
    assert said == ["done"]
