"""Which Python runs the program, and what is installed for it."""

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_LIST_PLUGINS = """
import json, pathlib, sys
found = {}
for folder in map(pathlib.Path, dict.fromkeys(p for p in sys.path if p)):
    for file in sorted(folder.glob("*/pulumi-plugin.json")):
        found.setdefault(file.parent.name, json.loads(file.read_text(encoding="utf-8")))
print(json.dumps(found))
"""

_LIST_PACKAGES = """
import importlib.metadata, json, re
norm = lambda name: re.sub(r"[-_.]+", "-", name).lower()
rows, needed = {}, set()
for dist in importlib.metadata.distributions():
    rows.setdefault(norm(dist.metadata["Name"]), dist.version)
    needed.update(norm(re.match(r"[\\w.-]+", r)[0]) for r in dist.requires or () if "extra ==" not in r)
print(json.dumps([[name, version, name in needed] for name, version in sorted(rows.items())]))
"""


class OptionsError(ValueError):
    """`runtime.options` of Pulumi.yaml ask for something that this host does not do."""


@dataclass(frozen=True)
class Interpreter:
    """A Python executable and the environment to start it in."""

    executable: str
    venv: Path | None

    def environment(self, base: Mapping[str, str], extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """`base` with the virtual environment active (as `activate` does it), output unbuffered, and `extra`."""
        env = {**base, "PYTHONUNBUFFERED": "1", **(extra or {})}
        if self.venv is not None:
            env["VIRTUAL_ENV"] = str(self.venv)
            env["PATH"] = os.pathsep.join((str(self.venv / "bin"), env.get("PATH", os.defpath)))
            env.pop("PYTHONHOME", None)
        return env

    async def ask(self, script: str) -> Any:  # noqa: ANN401 - whatever JSON the script prints
        """The JSON that `script` prints when this interpreter runs it."""
        process = await asyncio.create_subprocess_exec(
            self.executable, "-c", script, stdout=asyncio.subprocess.PIPE, env=self.environment(os.environ)
        )
        out, _ = await process.communicate()
        if process.returncode:
            msg = f"{self.executable} stopped with exit code {process.returncode}"
            raise OSError(msg)
        return json.loads(out)

    async def plugins(self) -> dict[str, dict[str, Any]]:
        """`pulumi-plugin.json` of every installed package that has one, by package folder."""
        found: dict[str, dict[str, Any]] = await self.ask(_LIST_PLUGINS)
        return found

    async def packages(self, *, transitive: bool) -> list[tuple[str, str]]:
        """Names and versions of the installed packages; without `transitive` only those that no other needs."""
        return [(name, version) for name, version, needed in await self.ask(_LIST_PACKAGES) if transitive or not needed]


def choose(root: Path, options: Mapping[str, Any]) -> Interpreter:
    """The interpreter for a project at `root` with these `runtime.options`.

    The option `virtualenv` (relative to `root`) is used where that environment exists; elsewhere the program runs
    on the interpreter that runs this host, which has the SDK. Raises `OptionsError` for another toolchain than pip.
    """
    toolchain = options.get("toolchain") or "pip"
    if toolchain != "pip":
        msg = f"Pulumi.yaml, runtime.options.toolchain: {toolchain!r} is not supported by this language host; use 'pip'"
        raise OptionsError(msg)
    name = options.get("virtualenv")
    if name:
        venv = root / str(name)
        python = venv / "bin" / "python"
        if python.is_file():
            return Interpreter(str(python), venv)
    return Interpreter(sys.executable, None)
