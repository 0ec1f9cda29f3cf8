"""Download of the official release (from a stand-in server) and the build with Go (with a stand-in for it)."""

import hashlib
import io
import tarfile
import time
import urllib.error
from collections.abc import Callable
from email.message import Message
from pathlib import Path
from typing import Any

import pytest

from tools.toolchain import official, source
from tools.toolchain.errors import UnavailableError
from tools.toolchain.layout import PROGRAMS, VERSION, is_complete

NAME = f"pulumi-v{VERSION}-linux-x64.tar.gz"


class Reply(io.BytesIO):
    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self.headers = Message()
        self.headers["Content-Length"] = str(len(content))


def release(extra: str = "") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name in (*PROGRAMS, "pulumi-analyzer-policy-python", "pulumi-language-go", extra):
            if name:
                member = tarfile.TarInfo(f"pulumi/{name}")
                member.size = len(name)
                archive.addfile(member, io.BytesIO(name.encode()))
    return out.getvalue()


def server(archive: bytes, listed: str) -> Callable[..., Any]:
    def answer(url: str, *, timeout: float) -> Reply:
        assert url.startswith("https://")
        assert timeout <= 5
        return Reply(listed.encode() if url.endswith("checksums.txt") else archive)

    return answer


@pytest.fixture(autouse=True)
def linux(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(official.platform, "system", lambda: "Linux")
    monkeypatch.setattr(official.platform, "machine", lambda: "x86_64")


@pytest.fixture
def stage(tmp_path: Path) -> Path:
    (tmp_path / "bin").mkdir()
    return tmp_path


def test_release_is_checked_and_unpacked(stage: Path) -> None:
    archive = release()
    listed = f"{'0' * 64}  other.tar.gz\n{hashlib.sha256(archive).hexdigest()}  {NAME}\n"
    official.fill(stage, opener=server(archive, listed))
    assert is_complete(stage)
    names = {p.name for p in (stage / "bin").iterdir()}
    assert names == {*PROGRAMS, "pulumi-analyzer-policy-python"}
    assert (stage / "bin" / "pulumi").read_text() == "pulumi"


def test_archive_that_is_not_the_listed_one_is_refused(stage: Path) -> None:
    listed = f"{hashlib.sha256(release()).hexdigest()}  {NAME}\n"
    with pytest.raises(UnavailableError, match="the release lists"):
        official.fill(stage, opener=server(release("pulumi-more"), listed))
    assert list((stage / "bin").iterdir()) == []
    assert not is_complete(stage)


def test_archive_that_is_not_listed_is_refused(stage: Path) -> None:
    with pytest.raises(UnavailableError, match="does not name"):
        official.fill(stage, opener=server(release(), f"{'0' * 64}  {NAME}.sig\n"))


def test_member_outside_the_archive_cannot_leave_the_stage(stage: Path) -> None:
    archive = release("../../../../pulumi")
    official.fill(stage, opener=server(archive, f"{hashlib.sha256(archive).hexdigest()}  {NAME}\n"))
    assert not (stage.parent / "pulumi").exists()


@pytest.mark.parametrize(
    "error", [urllib.error.URLError("no route"), TimeoutError("timed out"), ConnectionResetError("reset")]
)
def test_unreachable_release_is_an_unavailable_way(stage: Path, error: Exception) -> None:
    def fails(url: str, *, timeout: float) -> Reply:
        raise error

    with pytest.raises(UnavailableError, match="could not be downloaded"):
        official.fill(stage, opener=fails)


@pytest.mark.parametrize(
    ("system", "machine", "part"),
    [("Linux", "aarch64", "linux-arm64"), ("Darwin", "arm64", "darwin-arm64"), ("Darwin", "x86_64", "darwin-x64")],
)
def test_archive_names(system: str, machine: str, part: str) -> None:
    assert official.archive_name(system, machine) == f"pulumi-v{VERSION}-{part}.tar.gz"


def test_no_release_for_this_machine() -> None:
    with pytest.raises(UnavailableError, match="Plan9 on mips"):
        official.archive_name("Plan9", "mips")


def fake_go(folder: Path, build: str) -> None:
    """A `go` that knows the four calls of the build; `build` is what its `go build` does ($9 is the output file)."""
    sdk = folder / "sdk" / "python" / "cmd"
    sdk.mkdir(parents=True)
    (sdk / "pulumi-language-python-exec").write_text("print('exec')\n")
    go = folder / "go"
    go.write_text(
        "#!/bin/sh\ncase $1$2 in\n"
        f'list-m) echo "{folder}/sdk";;\n'
        "list-deps) for i in 1 2 3; do echo package/$i; done; echo 'go: downloading a v1' >&2;;\n"
        f"build-v) echo package/1 >&2; {build};;\nesac\n"
    )
    go.chmod(0o755)


def test_build_with_go(stage: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    tools = stage / "tools"
    fake_go(tools, 'while [ "$1" != -o ]; do shift; done; echo built > "$2"; chmod +x "$2"')
    monkeypatch.setenv("PATH", str(tools), prepend=":")
    source.fill(stage)
    assert is_complete(stage)
    assert (stage / "bin" / "pulumi-language-python-exec").read_text() == "print('exec')\n"
    assert (stage / "origin").read_text() == "source\n"
    shown = capsys.readouterr().err
    assert "Building Pulumi (minutes, only once): 3/3 packages" in shown
    assert "\r" not in shown


def test_failing_build_names_its_last_lines(stage: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tools = stage / "tools"
    fake_go(tools, "echo 'x.go:1: no space left' >&2; exit 1")
    monkeypatch.setenv("PATH", str(tools), prepend=":")
    with pytest.raises(UnavailableError, match=r"'go build' failed: .*no space left"):
        source.fill(stage)


def test_no_go(stage: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(stage))
    began = time.monotonic()
    with pytest.raises(UnavailableError, match="Go is not installed"):
        source.fill(stage)
    assert time.monotonic() - began < 1
