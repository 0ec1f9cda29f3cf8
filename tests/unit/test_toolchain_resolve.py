"""The resolver: order of the ways, one step into the cache, nothing half-made, one sentence when nothing works."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from ecm.engine import toolchain as engine_side
from tools.toolchain import __main__ as command
from tools.toolchain import layout, resolve
from tools.toolchain.errors import UnavailableError
from tools.toolchain.layout import PROGRAMS, VERSION


def program(path: Path, text: str = f"echo v{VERSION}") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def fill(stage: Path) -> None:
    for name in PROGRAMS:
        program(stage / "bin" / name)
    (stage / "origin").write_text("release\n")


def refuse(reason: str) -> resolve.Way:
    def fails(stage: Path) -> None:
        (stage / "bin" / "pulumi").write_text("half")
        raise UnavailableError(reason)

    return (reason, fails)


def never(stage: Path) -> None:
    pytest.fail("a way was tried although a toolchain was there")


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "empty").mkdir()
    return {"PATH": str(tmp_path / "empty"), "ECM_CACHE": str(tmp_path / "cache")}


def leftovers(env: dict[str, str]) -> list[str]:
    home = layout.home(Path(env["ECM_CACHE"]))
    return sorted(p.name for p in home.parent.iterdir() if p.suffix != ".lock") if home.parent.exists() else []


def test_path_wins_over_everything(env: dict[str, str], tmp_path: Path) -> None:
    for name in PROGRAMS:
        program(tmp_path / "usr" / name)
    found = resolve.resolve(env | {"PATH": str(tmp_path / "usr")}, [("x", never)], print)
    assert (found.folder, found.origin) == (tmp_path / "usr", "path")


def test_cli_on_path_without_its_language_host_does_not_count(env: dict[str, str], tmp_path: Path) -> None:
    program(tmp_path / "usr" / "pulumi")
    found = resolve.resolve(env | {"PATH": str(tmp_path / "usr")}, [("x", fill)], print)
    assert found.origin == "release"


def test_made_once_then_found(env: dict[str, str]) -> None:
    first = resolve.resolve(env, [("x", fill)], print)
    assert first.fresh
    assert {p.name for p in first.folder.iterdir()} == set(PROGRAMS)
    again = resolve.resolve(env, [("x", never)], print)
    assert (again.folder, again.fresh) == (first.folder, False)


def test_links_into_the_cache_are_not_a_toolchain_of_the_machine(env: dict[str, str], tmp_path: Path) -> None:
    found = resolve.resolve(env, [("x", fill)], print)
    (tmp_path / "venv").mkdir()
    resolve.link(found, tmp_path / "venv")
    linked = resolve.resolve(env | {"PATH": str(tmp_path / "venv")}, [("x", never)], print)
    assert (linked.folder, linked.origin) == (found.folder, "release")
    assert (tmp_path / "venv" / "pulumi").resolve() == found.folder / "pulumi"


def test_next_way_is_tried_when_one_does_not_work(env: dict[str, str]) -> None:
    said: list[str] = []
    found = resolve.resolve(env, [refuse("no network"), ("x", fill)], said.append)
    assert found.fresh
    assert any("no network" in line for line in said)
    assert leftovers(env) == [f"v{VERSION}"]


def test_one_sentence_when_nothing_works(env: dict[str, str]) -> None:
    with pytest.raises(UnavailableError) as raised:
        resolve.resolve(env, [refuse("no network"), refuse("Go is not installed")], lambda _: None)
    text = str(raised.value)
    assert "no network; Go is not installed" in text
    assert "make setup" in text
    assert "\n" not in text
    assert leftovers(env) == []


def test_interrupted_way_leaves_nothing(env: dict[str, str]) -> None:
    def stopped(stage: Path) -> None:
        fill(stage)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        resolve.resolve(env, [("x", stopped)], print)
    assert leftovers(env) == []


def test_remains_of_a_killed_set_up_are_removed_and_never_found(env: dict[str, str]) -> None:
    partial = layout.home(Path(env["ECM_CACHE"])).parent / f".partial-v{VERSION}-abc"
    fill_folder = partial
    (fill_folder / "bin").mkdir(parents=True)
    fill(fill_folder)
    assert resolve.resolve(env, [("x", fill)], print).fresh
    assert leftovers(env) == [f"v{VERSION}"]


def test_another_version_is_refused(env: dict[str, str]) -> None:
    def old(stage: Path) -> None:
        fill(stage)
        program(stage / "bin" / "pulumi", "echo v3.1.0")

    with pytest.raises(UnavailableError, match=r"says v3\.1\.0 instead of"):
        resolve.resolve(env, [("x", old)], lambda _: None)
    assert leftovers(env) == []


def test_two_set_ups_at_once_make_it_once(env: dict[str, str]) -> None:
    made: list[int] = []
    waiting = threading.Event()

    def slow(stage: Path) -> None:
        made.append(1)
        waiting.wait(0.3)
        fill(stage)

    results: list[resolve.Found] = []
    threads = [
        threading.Thread(target=lambda: results.append(resolve.resolve(env, [("x", slow)], lambda _: None)))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert sorted(found.fresh for found in results) == [False, True]


def test_engine_looks_where_the_resolver_puts_it(env: dict[str, str]) -> None:
    assert engine_side.PINNED == VERSION
    for extra in ({}, {"ECM_CACHE": ""}, {"ECM_CACHE": "", "XDG_CACHE_HOME": "/var/cache/x"}):
        asked = {**env, "HOME": str(Path.home()), **extra}
        assert engine_side.cache_folder(asked) == layout.home(layout.cache_root(asked)) / "bin"


def test_go_module_requires_the_pinned_version() -> None:
    lines = (Path(resolve.__file__).parent / "go.mod").read_text().split("\n")
    pinned = [line.split() for line in lines if "github.com/pulumi/pulumi/" in line and " v" in line]
    assert len(pinned) == 2
    assert all(row[1] == f"v{VERSION}" for row in pinned)


@pytest.mark.parametrize(("argv", "code"), [(["--only", "magic"], 64), (["--cli"], 64)])
def test_wrong_usage(argv: list[str], code: int) -> None:
    with pytest.raises(SystemExit) as raised:
        command.main(argv)
    assert raised.value.code == code


def test_command_says_one_sentence_and_69_when_nothing_works(env: dict[str, str]) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "tools.toolchain", "--only", "source"],
        env=env | {"HOME": "/nonexistent"},
        cwd=Path(resolve.__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == command.UNAVAILABLE == 69
    assert run.stdout == ""
    assert run.stderr.splitlines()[-1].startswith("Pulumi is not available on this machine (Go is not installed)")
    assert "Traceback" not in run.stderr


def test_cache_that_cannot_be_written_is_named(
    env: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PATH", env["PATH"])
    monkeypatch.setenv("ECM_CACHE", str(tmp_path / "file"))
    assert command.main([]) == 69
    said = capsys.readouterr().err
    assert str(tmp_path / "file") in said
    assert "set ECM_CACHE" in said
