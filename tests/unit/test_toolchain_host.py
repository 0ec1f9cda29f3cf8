"""The language host, as the engine sees it: a process with a port, gRPC calls, and a quiet end."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from pulumi.runtime.proto import language_pb2, language_pb2_grpc

from tools.toolchain import host
from tools.toolchain.language_host.interpreter import OptionsError, choose

ROOT = Path(host.__file__).parents[2]
SHOW = "import json, os, sys; print(json.dumps([sys.argv, os.getcwd(), dict(os.environ)]))"


@dataclass
class Host:
    process: subprocess.Popen[str]
    stub: Any
    executor: Path

    def info(self, folder: Path, **options: str) -> Any:
        made = language_pb2.ProgramInfo(root_directory=str(folder), program_directory=str(folder), entry_point=".")
        made.options.update(options)
        return made


def start(tmp_path: Path, launcher: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*launcher, "--executor", str(tmp_path / "executor.py"), "--host-version", "3.250.0", "127.0.0.1:1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


LAUNCHER = [sys.executable, "-c", "from tools.toolchain.language_host.server import main; main()"]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Host]:
    process = start(tmp_path, LAUNCHER)
    port = int(process.stdout.readline()) if process.stdout else 0
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield Host(process, language_pb2_grpc.LanguageRuntimeStub(channel), tmp_path / "executor.py")
    process.kill()
    process.wait()


def run(served: Host, folder: Path, program: str, **more: Any) -> Any:
    served.executor.write_text(program)
    request = language_pb2.RunRequest(
        info=served.info(folder),
        pwd=str(folder),
        monitor_address="127.0.0.1:2",
        project="p",
        stack="s",
        dryRun=True,
        parallel=7,
        config={"p:key": "value"},
        configSecretKeys=["p:hidden"],
        organization="organization",
        **more,
    )
    return served.stub.Run(request, timeout=20)


def gone(pid: int, within_s: float = 5) -> bool:
    """Whether the process has ended (or is only waiting to be reaped)."""
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.05)
    return False


def wait_for(path: Path) -> str:
    end = time.monotonic() + 10
    while not (path.exists() and path.read_text()):
        assert time.monotonic() < end, f"{path} did not appear"
        time.sleep(0.02)
    return path.read_text()


def test_program_gets_the_engine_s_facts(served: Host, tmp_path: Path) -> None:
    out = tmp_path / "seen.json"
    reply = run(served, tmp_path, SHOW.replace("print(", f"open({str(out)!r}, 'w').write("))
    assert (reply.error, reply.bail) == ("", False)
    argv, cwd, env = json.loads(out.read_text())
    flags = dict(zip(argv[1:-1:2], argv[2:-1:2], strict=True))
    assert flags == {
        "--monitor": "127.0.0.1:2",
        "--engine": "127.0.0.1:1",
        "--project": "p",
        "--root_directory": str(tmp_path),
        "--stack": "s",
        "--pwd": str(tmp_path),
        "--dry_run": "true",
        "--parallel": "7",
        "--organization": "organization",
    }
    assert argv[-1] == "."
    assert cwd == str(tmp_path)
    assert json.loads(env["PULUMI_CONFIG"]) == {"p:key": "value"}
    assert json.loads(env["PULUMI_CONFIG_SECRET_KEYS"]) == ["p:hidden"]


@pytest.mark.parametrize(
    ("program", "error", "bail"),
    [
        ("import sys; sys.exit(32)", "", True),
        ("import sys; sys.exit(3)", "Program exited with non-zero exit code: 3", False),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "Program exited with signal 9", False),
    ],
)
def test_ends_of_a_program(served: Host, tmp_path: Path, program: str, error: str, bail: bool) -> None:
    reply = run(served, tmp_path, program)
    assert (reply.error, reply.bail) == (error, bail)


def test_cancelled_run_ends_the_program_and_what_it_started(served: Host, tmp_path: Path) -> None:
    served.executor.write_text(
        "import os, subprocess, time\n"
        "child = subprocess.Popen(['sleep', '60'])\n"
        f"open({str(tmp_path / 'pids')!r}, 'w').write(f'{{os.getpid()}} {{child.pid}}')\n"
        "time.sleep(60)\n"
    )
    request = language_pb2.RunRequest(info=served.info(tmp_path), pwd=str(tmp_path), parallel=1)
    call = served.stub.Run.future(request)
    pids = [int(pid) for pid in wait_for(tmp_path / "pids").split()]
    call.cancel()
    assert all(gone(pid) for pid in pids)
    assert run(served, tmp_path, "pass").error == ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_host_and_program_quietly(served: Host, tmp_path: Path, number: signal.Signals) -> None:
    served.executor.write_text(
        f"import os, time\nopen({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))\ntime.sleep(60)\n"
    )
    call = served.stub.Run.future(language_pb2.RunRequest(info=served.info(tmp_path), pwd=str(tmp_path), parallel=1))
    program = int(wait_for(tmp_path / "pid"))
    served.process.send_signal(number)
    assert served.process.wait(5) == 0
    assert gone(program)
    call.cancel()
    assert served.process.stdout is not None
    assert served.process.stdout.read() == ""


def test_host_ends_when_the_engine_is_killed(tmp_path: Path) -> None:
    engine = (
        "import subprocess, sys, time; p = subprocess.Popen(sys.argv[1:]); print(p.pid, flush=True); time.sleep(60)"
    )
    process = start(tmp_path, [sys.executable, "-c", engine, *LAUNCHER])
    assert process.stdout is not None
    pid = int(process.stdout.readline())
    assert int(process.stdout.readline()) > 0
    process.kill()
    process.wait()
    assert gone(pid)


def test_plugin_streams_both_outputs_and_its_exit_code(served: Host, tmp_path: Path) -> None:
    (tmp_path / "__main__.py").write_text(
        "import os, sys\nprint('out', sys.argv[1:], os.environ['GIVEN'])\nprint('err', file=sys.stderr)\nsys.exit(5)\n"
    )
    request = language_pb2.RunPluginRequest(
        info=served.info(tmp_path),
        pwd=str(tmp_path),
        args=["a"],
        env=["GIVEN=1=2", f"PATH={os.defpath}"],
        kind="resource",
    )
    replies = list(served.stub.RunPlugin(request, timeout=20))
    assert b"".join(r.stdout for r in replies) == b"out ['a'] 1=2\n"
    assert b"".join(r.stderr for r in replies) == b"err\n"
    assert replies[-1].WhichOneof("output") == "exitcode"
    assert replies[-1].exitcode == 5


def test_installed_provider_packages_are_required(served: Host, tmp_path: Path) -> None:
    reply = served.stub.GetRequiredPackages(language_pb2.GetRequiredPackagesRequest(info=served.info(tmp_path)))
    aws = [row for row in reply.packages if row.name == "aws"]
    assert [row.kind for row in aws] == ["resource"]
    assert aws[0].version.startswith("7.")


def test_about_and_dependencies(served: Host, tmp_path: Path) -> None:
    about = served.stub.About(language_pb2.AboutRequest(info=served.info(tmp_path)))
    assert about.executable == sys.executable
    assert about.version == ".".join(map(str, sys.version_info[:3]))
    ask = language_pb2.GetProgramDependenciesRequest(info=served.info(tmp_path), transitiveDependencies=True)
    every = {row.name for row in served.stub.GetProgramDependencies(ask).dependencies}
    ask.transitiveDependencies = False
    own = {row.name for row in served.stub.GetProgramDependencies(ask).dependencies}
    assert own < every
    assert "botocore" in every - own


def test_another_toolchain_is_refused_by_name(served: Host, tmp_path: Path) -> None:
    info = served.info(tmp_path, toolchain="poetry")
    with pytest.raises(grpc.RpcError) as raised:
        served.stub.About(language_pb2.AboutRequest(info=info))
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "runtime.options.toolchain: 'poetry'" in raised.value.details()


def test_virtual_environment_is_used_where_it_exists(tmp_path: Path) -> None:
    options = {"toolchain": "pip", "virtualenv": ".venv"}
    assert choose(tmp_path, options).executable == sys.executable
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text("")
    chosen = choose(tmp_path, options)
    assert chosen.executable == str(python)
    env = chosen.environment({"PATH": "/bin", "PYTHONHOME": "/x"})
    assert env["PATH"] == f"{python.parent}:/bin"
    assert env["VIRTUAL_ENV"] == str(tmp_path / ".venv")
    assert "PYTHONHOME" not in env
    with pytest.raises(OptionsError):
        choose(tmp_path, {"toolchain": "uv"})


def installed(tmp_path: Path) -> Path:
    host.install(tmp_path)
    (tmp_path / "bin" / "pulumi-language-python-exec").write_text("")
    return tmp_path / "bin" / "pulumi-language-python"


def test_archive_is_the_same_bytes_each_time(tmp_path: Path) -> None:
    launcher = installed(tmp_path)
    before = {p: p.stat().st_mtime_ns for p in (launcher, tmp_path / "lib" / "language_host.pyz")}
    host.install(tmp_path)
    assert {p: p.stat().st_mtime_ns for p in before} == before
    assert host.archive() == host.archive()


def test_launcher_serves_from_the_archive(tmp_path: Path) -> None:
    launcher = installed(tmp_path)
    env = {"PATH": os.defpath, "ECM_PYTHON": sys.executable}
    with subprocess.Popen([launcher, "127.0.0.1:1"], stdout=subprocess.PIPE, env=env, text=True, cwd="/") as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            info = language_pb2_grpc.LanguageRuntimeStub(channel).GetPluginInfo(
                language_pb2.google_dot_protobuf_dot_empty__pb2.Empty(), timeout=10
            )
        process.terminate()
        assert process.wait(5) == 0
    assert info.version == "3.250.0"


def test_launcher_finds_the_project_s_environment_from_below(tmp_path: Path) -> None:
    launcher = installed(tmp_path)
    inner = tmp_path / "project" / "deep"
    inner.mkdir(parents=True)
    python = tmp_path / "project" / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\ncase "$1" in -c) exit 0;; esac\necho "from the project: $*"\n')
    python.chmod(0o755)
    run = subprocess.run(
        [launcher, "address"], env={"PATH": os.defpath}, cwd=inner, capture_output=True, text=True, check=True
    )
    assert run.stdout.startswith("from the project: ")
    assert run.stdout.strip().endswith("--host-version 3.250.0 address")


def test_launcher_says_what_to_do_without_the_sdk(tmp_path: Path) -> None:
    launcher = installed(tmp_path)
    bare = tmp_path / "bare"
    bare.mkdir()
    for name in ("sh", "readlink", "dirname"):
        (bare / name).symlink_to(f"/bin/{name}")
    run = subprocess.run([launcher, "x"], env={"PATH": str(bare)}, cwd="/", capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert run.stderr.endswith("run 'make setup' in the project\n")
