"""The official AWS provider plugin, where the official CLI could be downloaded."""

import importlib.util
import json
import os
import subprocess
from pathlib import Path

from .resolve import Found

_TIMEOUT_S = 600


def wanted_version() -> str | None:
    """The plugin version that the installed `pulumi-aws` package was made for; None where it is not installed."""
    spec = importlib.util.find_spec("pulumi_aws")
    if spec is None or not spec.submodule_search_locations:
        return None
    facts = json.loads(Path(next(iter(spec.submodule_search_locations)), "pulumi-plugin.json").read_text("utf-8"))
    return str(facts["version"])


def install(found: Found) -> str:
    """Let the CLI install the plugin, once; returns a sentence that says how it went."""
    version = wanted_version()
    if version is None:
        return "The Python package pulumi-aws is not installed, so its plugin was left out."
    argv = [str(found.folder / "pulumi"), "plugin", "install", "resource", "aws", f"v{version}"]
    env = {**os.environ, "PULUMI_SKIP_UPDATE_CHECK": "true"}
    try:
        run = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        return f"The plugin of pulumi-aws v{version} could not be installed within {_TIMEOUT_S} s."
    if run.returncode:
        return f"The plugin of pulumi-aws v{version} could not be installed: {run.stderr.strip()}"
    return f"The plugin of pulumi-aws v{version} is installed."
