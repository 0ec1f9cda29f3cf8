"""The processes that the host has started, and how they end."""

import asyncio
import contextlib
import os
import signal

# Long enough for a program to flush its output, short enough for the five seconds that the engine gives a plugin.
_GRACE_S = 2.0


class Children:
    """Starts processes in groups of their own, so that one signal ends a program with all that it started."""

    def __init__(self) -> None:
        self._live: set[asyncio.subprocess.Process] = set()

    async def start(
        self, argv: list[str], *, cwd: str, env: dict[str, str], piped: bool = False
    ) -> asyncio.subprocess.Process:
        """Start `argv`; `piped` gives its output to the caller, else it goes to the host's own."""
        stream = asyncio.subprocess.PIPE if piped else None
        process = await asyncio.create_subprocess_exec(
            *argv,
            cwd=cwd,
            env=env,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            process_group=0,
        )
        self._live.add(process)
        return process

    async def stop(self, process: asyncio.subprocess.Process) -> None:
        """End `process` and its group: ask first, then insist. Does nothing when it has ended."""
        self._live.discard(process)
        _signal(process.pid, signal.SIGTERM)
        if process.returncode is None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), _GRACE_S)
        _signal(process.pid, signal.SIGKILL)
        await process.wait()

    async def stop_all(self) -> None:
        """End every process that still runs, all at once."""
        await asyncio.gather(*(self.stop(process) for process in tuple(self._live)))


def _signal(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
