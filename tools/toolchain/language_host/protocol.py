"""The SDK's protobuf classes, without the cost of importing the whole SDK.

`import pulumi` takes most of a second and does far more than a language host needs. The generated message classes
live in `pulumi/runtime/proto` and import only each other, so the three parent packages are entered into
`sys.modules` with their real search path but without running their `__init__`.
"""

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any


class MissingSdkError(ImportError):
    """The interpreter that runs the host has no Pulumi SDK."""


def _enter_parents() -> None:
    if "pulumi" in sys.modules:
        return
    spec = importlib.util.find_spec("pulumi")
    if spec is None or not spec.submodule_search_locations:
        msg = f"the Python package 'pulumi' is not installed for {sys.executable}; run 'make setup'"
        raise MissingSdkError(msg)
    folder = Path(next(iter(spec.submodule_search_locations)))
    for name in ("pulumi", "pulumi.runtime", "pulumi.runtime.proto"):
        module = ModuleType(name)
        module.__path__ = [str(folder)]
        sys.modules[name] = module
        folder = folder / {"pulumi": "runtime", "pulumi.runtime": "proto"}.get(name, "")


_enter_parents()
# `Any`: the modules are generated and have no types of their own for a checker that does not see the SDK.
language: Any = importlib.import_module("pulumi.runtime.proto.language_pb2")
language_grpc: Any = importlib.import_module("pulumi.runtime.proto.language_pb2_grpc")
plugin: Any = importlib.import_module("pulumi.runtime.proto.plugin_pb2")
