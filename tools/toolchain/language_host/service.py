"""The `LanguageRuntime` service, as the engine calls it."""

import asyncio
import base64
import json
import os
import platform
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import empty_pb2, json_format

from .children import Children
from .interpreter import Interpreter, OptionsError, choose
from .protocol import language, language_grpc, plugin

# `pulumi-language-python-exec` ends with this code when the user has already been shown what went wrong.
_ALREADY_REPORTED = 32
_CHUNK_BYTES = 65536


class Service(language_grpc.LanguageRuntimeServicer):  # type: ignore[misc]  # generated class without types
    """Runs programs and policy packs; installs nothing and generates no code.

    `engine` is the address of the engine, `executor` the SDK's `pulumi-language-python-exec`, `version` the
    release that both come from.
    """

    def __init__(self, *, engine: str, executor: Path, version: str, children: Children) -> None:
        self._engine = engine
        self._executor = executor
        self._version = version
        self._children = children

    async def Handshake(self, request: Any, context: Any) -> Any:
        """Take the engine's address where the command line gave none."""
        self._engine = request.engine_address or self._engine
        return language.LanguageHandshakeResponse()

    async def GetPluginInfo(self, request: Any, context: Any) -> Any:
        """The version of this host."""
        return plugin.PluginInfo(version=self._version)

    async def GetRequiredPackages(self, request: Any, context: Any) -> Any:
        """The provider of every Pulumi package installed for the program, in the version that package was made for."""
        python = await _python(request.info, context)
        found = await python.plugins()
        rows = [_dependency(folder, facts) for folder, facts in sorted(found.items()) if facts.get("resource")]
        return language.GetRequiredPackagesResponse(packages=rows)

    async def GetRequiredPlugins(self, request: Any, context: Any) -> Any:
        """The same for engines that do not know packages."""
        rows = (await self.GetRequiredPackages(request, context)).packages
        plugins = [plugin.PluginDependency(name=r.name, kind=r.kind, version=r.version, server=r.server) for r in rows]
        return language.GetRequiredPluginsResponse(plugins=plugins)

    async def Run(self, request: Any, context: Any) -> Any:
        """Run the program to its end; a cancelled call ends the program."""
        python = await _python(request.info, context)
        config = {
            "PULUMI_CONFIG": json.dumps(dict(request.config)),
            "PULUMI_CONFIG_SECRET_KEYS": json.dumps(list(request.configSecretKeys)),
        }
        pwd = request.pwd or request.info.program_directory
        argv = [python.executable, "-u", str(self._executor), *_run_arguments(request, self._engine, pwd)]
        process = await self._children.start(argv, cwd=pwd, env=python.environment(os.environ, config))
        try:
            code = await process.wait()
        finally:
            await asyncio.shield(self._children.stop(process))
        if code == _ALREADY_REPORTED:
            return language.RunResponse(bail=True)
        return language.RunResponse(error="" if code == 0 else f"Program exited with {_ending(code)}")

    async def RunPlugin(self, request: Any, context: Any) -> AsyncIterator[Any]:
        """Run a policy pack or a provider written in Python, and pass on what it prints."""
        python = await _python(request.info, context)
        env = dict(row.split("=", 1) for row in request.env)
        argv = [python.executable, "-u", *_plugin_arguments(request)]
        process = await self._children.start(argv, cwd=request.pwd, env=python.environment(env), piped=True)
        try:
            async for name, chunk in _output(process):
                yield language.RunPluginResponse(**{name: chunk})
            yield language.RunPluginResponse(exitcode=await process.wait())
        finally:
            await asyncio.shield(self._children.stop(process))

    async def InstallDependencies(self, request: Any, context: Any) -> AsyncIterator[Any]:
        """Install nothing: the project's set-up does that, from locked versions."""
        yield language.InstallDependenciesResponse(stdout=b"Dependencies are installed by 'make setup'.\n")

    async def RuntimeOptionsPrompts(self, request: Any, context: Any) -> Any:
        """No options to ask for."""
        return language.RuntimeOptionsResponse()

    async def Template(self, request: Any, context: Any) -> Any:
        """Nothing to fill in."""
        return language.TemplateResponse()

    async def About(self, request: Any, context: Any) -> Any:
        """The interpreter of the program and its version."""
        python = await _python(request.info, context)
        version = await python.ask("import json, platform; print(json.dumps(platform.python_version()))")
        metadata = {"toolchain": "pip", "host": f"Python {platform.python_version()}"}
        return language.AboutResponse(executable=python.executable, version=version, metadata=metadata)

    async def GetProgramDependencies(self, request: Any, context: Any) -> Any:
        """What is installed for the program."""
        python = await _python(request.info, context)
        rows = await python.packages(transitive=request.transitiveDependencies)
        found = [language.DependencyInfo(name=name, version=version) for name, version in rows]
        return language.GetProgramDependenciesResponse(dependencies=found)

    async def Cancel(self, request: Any, context: Any) -> Any:
        """End what runs."""
        await self._children.stop_all()
        return empty_pb2.Empty()


async def _python(info: Any, context: Any) -> Interpreter:
    try:
        return choose(Path(info.root_directory or "."), json_format.MessageToDict(info.options))
    except OptionsError as error:
        await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        raise


def _dependency(folder: str, facts: dict[str, Any]) -> Any:
    extra = facts.get("parameterization")
    return plugin.PackageDependency(
        name=facts.get("name") or folder.removeprefix("pulumi_").replace("_", "-"),
        kind="resource",
        version=facts.get("version", ""),
        server=facts.get("server", ""),
        parameterization=extra
        and plugin.PackageParameterization(
            name=extra["name"], version=extra["version"], value=base64.b64decode(extra["value"])
        ),
    )


def _run_arguments(request: Any, engine: str, pwd: str) -> list[str]:
    options = {
        "monitor": request.monitor_address,
        "engine": engine,
        "project": request.project,
        "root_directory": request.info.root_directory,
        "stack": request.stack,
        "pwd": pwd,
        "dry_run": "true" if request.dryRun else "",
        "parallel": str(request.parallel),
        "organization": request.organization,
    }
    flags = [part for name, value in options.items() if value for part in (f"--{name}", value)]
    return [*flags, request.info.entry_point or ".", *request.args]


def _plugin_arguments(request: Any) -> list[str]:
    folder = request.info.program_directory
    if request.kind == "analyzer":
        return ["-m", "pulumi.policy", *request.args, folder]
    return [folder, *request.args]


def _ending(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"non-zero exit code: {code}"


async def _output(process: asyncio.subprocess.Process) -> AsyncIterator[tuple[str, bytes]]:
    queue: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()

    async def pump(name: str, stream: asyncio.StreamReader | None) -> None:
        while stream is not None and (chunk := await stream.read(_CHUNK_BYTES)):
            await queue.put((name, chunk))
        await queue.put((name, b""))

    pumps = [asyncio.create_task(pump("stdout", process.stdout)), asyncio.create_task(pump("stderr", process.stderr))]
    try:
        left = len(pumps)
        while left:
            name, chunk = await queue.get()
            if chunk:
                yield name, chunk
            else:
                left -= 1
    finally:
        for task in pumps:
            task.cancel()
