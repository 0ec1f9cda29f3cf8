"""Starts the embedded AWS and says what environment ECM, boto3 and Pulumi need to use it.

```python
with EmbeddedAws(folder) as aws:
    subprocess.run(["pulumi", "up", "--yes"], env={**os.environ, **aws.environment})
    aws.faults({"no_capacity": [{"shape": "c7gn.large", "zone": "us-east-1a"}]})
```
Where the real `pulumi-resource-aws` is installed and `ECM_REAL_AWS_PLUGIN=1` is set, it is used against the same
endpoint instead of the stand-in. Test double, not AWS.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tools.standin.faults import INJECTED, write
from tools.standin.kind import Client, make_client

REAL_PLUGIN = "ECM_REAL_AWS_PLUGIN"
"""Set to 1 to use the installed AWS plugin, where there is one, instead of the stand-in."""
PLUGIN = "pulumi-resource-aws"
_MARK = "tools.standin.plugin"
_ROOT = Path(__file__).resolve().parents[2]


class StartError(RuntimeError):
    """The embedded AWS did not start."""


def _launcher(folder: Path) -> Path:
    """Write the `pulumi-resource-aws` that starts the stand-in; return its folder."""
    where = folder / "bin"
    where.mkdir(parents=True, exist_ok=True)
    script = where / PLUGIN
    command = f'exec {shlex.quote(sys.executable)} -m {_MARK} "$@"'
    path = f"PYTHONPATH={shlex.quote(str(_ROOT))}${{PYTHONPATH:+:$PYTHONPATH}}"
    text = f"#!/bin/sh\n# Starts the test double of the AWS provider.\n{path}\nexport PYTHONPATH\n{command}\n"
    if not script.exists() or script.read_text() != text:
        draft = script.with_name(f"{PLUGIN}.{os.getpid()}")
        draft.write_text(text)
        draft.chmod(0o755)
        draft.replace(script)
    return where


def real_plugin(environment: Mapping[str, str] = os.environ) -> Path | None:
    """Return the real AWS plugin: on PATH, or in Pulumi's plugin folder; None where there is none."""
    on_path = shutil.which(PLUGIN, path=environment.get("PATH"))
    if on_path is not None and _MARK.encode() not in Path(on_path).read_bytes()[:4096]:
        return Path(on_path)
    home = Path(environment.get("PULUMI_HOME") or Path.home() / ".pulumi")
    installed = sorted(home.glob(f"plugins/resource-aws-v7.*/{PLUGIN}"))
    return installed[-1] if installed else None


def environment(endpoint: str, folder: Path, *, region: str = "us-east-1") -> dict[str, str]:
    """Return the variables that point ECM, boto3 and Pulumi at `endpoint`, with all their state under `folder`."""
    state = folder / "pulumi-state"
    state.mkdir(parents=True, exist_ok=True)
    variables = {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "embedded",
        "AWS_SECRET_ACCESS_KEY": "embedded",
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_S3_US_EAST_1_REGIONAL_ENDPOINT": "regional",
        "PULUMI_BACKEND_URL": f"file://{state}",
        "PULUMI_CONFIG_PASSPHRASE": "embedded",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        # The state is thrown away with the AWS that it describes: it is written once at the end of an update (whether
        # that succeeds or fails) and not twice for each resource, which a fleet of 200 nodes would wait minutes for.
        "PULUMI_SKIP_CHECKPOINTS": "true",
    }
    plugin = real_plugin() if os.environ.get(REAL_PLUGIN) == "1" else None
    if plugin is None:
        where = _launcher(folder)
    elif os.access(plugin, os.X_OK) and plugin.parent.parent.name != "plugins":
        where = plugin.parent
    else:  # Pulumi finds it in its own folder
        return variables
    return {**variables, "PATH": f"{where}{os.pathsep}{os.environ.get('PATH', '')}"}


class EmbeddedAws:
    """An AWS on loopback as a process of its own, which ends with the one that started it."""

    def __init__(self, folder: Path, *, region: str = "us-east-1") -> None:
        """`folder` keeps launcher, Pulumi state, faults and log; it is made when it is not there."""
        self.folder = folder.resolve()
        self.region = region
        self.endpoint = ""
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        """Start the server; `StartError` with its log when it does not."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.fault_file.unlink(missing_ok=True)
        path = os.pathsep.join(filter(None, (str(_ROOT), os.environ.get("PYTHONPATH"))))
        log = self.log
        with log.open("wb") as stream:
            command = [
                sys.executable,
                "-m",
                "tools.standin",
                "serve",
                "--while-stdin",
                "--faults",
                str(self.fault_file),
            ]
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stream,
                cwd=self.folder,
                env={**os.environ, "PYTHONPATH": path},
            )
        line = self._process.stdout.readline() if self._process.stdout else b""
        if not line:
            self.stop()
            raise StartError(f"the embedded AWS did not start: {log.read_text()[-2000:]}")
        self.endpoint = json.loads(line)["endpoint"]
        return self

    def stop(self) -> None:
        """End the server; everything in it is gone."""
        process, self._process = self._process, None
        if process is None:
            return
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def fault_file(self) -> Path:
        """Where the server reads its faults."""
        return self.folder / "faults.json"

    @property
    def log(self) -> Path:
        """What the server writes."""
        return self.folder / "aws.log"

    def injected(self) -> int:
        """Return how many calls `fail` and `flaky` have let fail since the start."""
        return sum(line.startswith(INJECTED) for line in self.log.read_text(errors="replace").splitlines())

    @property
    def environment(self) -> dict[str, str]:
        """The variables for ECM, boto3 and Pulumi; PATH starts with the stand-in's folder."""
        return environment(self.endpoint, self.folder, region=self.region)

    def faults(self, faults: Mapping[str, Any] | None = None) -> None:
        """Inject `faults` (as in `tools.standin.faults`) from the next request on; none: mend everything."""
        write(self.fault_file, faults or {})

    def client(self, service: str) -> Client:
        """Return a boto3 client, for tests that look at or change AWS behind ECM's back."""
        return make_client(
            service,
            self.region,
            endpoint_url=self.endpoint,
            aws_access_key_id="embedded",
            aws_secret_access_key="embedded",  # noqa: S106 - the embedded AWS takes anything
        )


def main(arguments: list[str]) -> int:
    """Print the environment for a running server as shell exports."""
    parser = argparse.ArgumentParser(prog="python -m tools.standin env")
    parser.add_argument("--endpoint", required=True, help="what `serve` printed")
    parser.add_argument("--folder", type=Path, default=Path(".ecm/embedded"))
    parser.add_argument("--region", default="us-east-1")
    options = parser.parse_args(arguments)
    for name, value in sorted(environment(options.endpoint, options.folder.resolve(), region=options.region).items()):
        print(f"export {name}={shlex.quote(value)}")
    return 0
