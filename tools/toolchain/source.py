"""The CLI built from its Go module, for machines that reach the Go modules but not the releases.

The engine and the CLI are ordinary Go packages. The official Python language host is not: its package lies in the
SDK's module without being importable from outside, so ours takes its place (see `language_host`). The script that
it starts, `pulumi-language-python-exec`, comes from the SDK's module as it is.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from . import host
from .errors import UnavailableError
from .layout import VERSION
from .progress import Progress

_PACKAGE = "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"
_SDK = "github.com/pulumi/pulumi/sdk/v3"
_MODULE = Path(__file__).parent
# The official build sets the version in the same way; without it the CLI takes itself for a development build.
_LDFLAGS = f"-s -w -X {_SDK}/go/common/version.Version=v{VERSION}"
_TAIL_LINES = 5


def fill(stage: Path) -> None:
    """Build the CLI into `stage` and put our language host beside it."""
    go = shutil.which("go")
    if go is None:
        msg = "Go is not installed"
        raise UnavailableError(msg)
    modules = sum("// indirect" in line for line in (_MODULE / "go.mod").read_text("utf-8").splitlines())
    with Progress("Fetching Pulumi's Go modules", modules, "modules") as progress:
        listed = _run([go, "list", "-deps", _PACKAGE], lambda line: progress.advance("downloading" in line))
        progress.advance(modules)
    packages = len(listed.splitlines())
    with Progress("Building Pulumi (minutes, only once)", packages, "packages") as progress:
        binary = stage / "bin" / "pulumi"
        _run(
            [go, "build", "-v", "-trimpath", "-ldflags", _LDFLAGS, "-o", str(binary), _PACKAGE],
            lambda _: progress.advance(),
        )
        progress.advance(packages)
    finish(stage)


def finish(stage: Path) -> None:
    """Add what belongs to a CLI without its official language host."""
    go = shutil.which("go")
    folder = _run([go, "list", "-m", "-f", "{{.Dir}}", _SDK]).strip() if go else ""
    script = Path(folder, "python", "cmd", "pulumi-language-python-exec")
    if not folder or not script.is_file():
        msg = f"the Go module {_SDK} has no pulumi-language-python-exec"
        raise UnavailableError(msg)
    target = stage / "bin" / script.name
    shutil.copyfile(script, target)
    target.chmod(0o755)
    host.install(stage)
    (stage / "origin").write_text("source\n", encoding="utf-8")


def _run(argv: list[str], on_line: Callable[[str], object] = lambda _: None) -> str:
    """Run a Go command in the module's folder, hand over each line it writes beside its result, return the result."""
    env = {**os.environ, "GOFLAGS": "-mod=readonly -buildvcs=false", "GOWORK": "off"}
    tail: list[str] = []
    with tempfile.TemporaryFile("w+") as out, _started(argv, env, out) as process:
        for line in process.stderr or ():
            on_line(line)
            tail = [*tail, line.strip()][-_TAIL_LINES:]
        process.wait()
        out.seek(0)
        result = out.read()
    if process.returncode:
        msg = f"'go {argv[1]}' failed: {' / '.join(tail)}"
        raise UnavailableError(msg)
    return result


@contextmanager
def _started(argv: list[str], env: dict[str, str], out: IO[str]) -> Iterator[subprocess.Popen[str]]:
    """Start `argv`; whatever happens, it does not outlive the block."""
    with subprocess.Popen(
        argv, cwd=_MODULE, env=env, stdout=out, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True
    ) as process:
        try:
            yield process
        except BaseException:
            process.terminate()
            raise
