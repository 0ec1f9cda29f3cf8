"""Where the blocks of a large forecast are worked on: in processes of this machine, or on a Dask cluster."""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context
from types import TracebackType
from typing import Any, Self, TypeVar

from ecm import __version__

Made = TypeVar("Made")
Task = tuple[object, ...]

AHEAD = 2
"""Blocks per worker that wait or are worked on: bounds memory, and no worker waits for its next block."""
CONNECT_S = 10
"""A scheduler that does not answer for so long is taken as unreachable."""


class BackendError(Exception):
    """A backend that cannot be used; the text says what to do."""


class Processes:
    """Processes of this machine, one for each processor that may be used; they start with the first block."""

    def __init__(self, count: int | None = None) -> None:
        self._count = count or len(os.sched_getaffinity(0))
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Self:
        """Return the backend; its processes end with the block."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """End the processes."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None

    def map(self, work: Callable[..., Made], common: Task, tasks: Iterable[Task]) -> Iterator[Made]:
        """Yield `work(*task, *common)` for all `tasks`, in their order."""
        if self._pool is None:
            # Not forked: numpy's and scikit-learn's threads do not survive a fork.
            self._pool = ProcessPoolExecutor(self._count, mp_context=get_context("spawn"))
        pool = self._pool
        waiting: deque[Future[Made]] = deque()
        for task in tasks:
            waiting.append(pool.submit(work, *task, *common))
            if len(waiting) >= AHEAD * self._count:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


class Dask:
    """The workers of a Dask cluster, which must run the same version of ECM.

    Dask sends objects as pickles: use a scheduler that nobody else reaches, or TLS (`tls://`, see Dask's own settings).
    """

    def __init__(self, scheduler: str) -> None:
        self.scheduler = scheduler
        self.ran: Counter[str] = Counter()
        """Blocks by address of the worker that worked on them."""
        self._client: Any = None

    def __enter__(self) -> Self:
        """Connect; BackendError where there is no scheduler, no worker, or one with another version of ECM."""
        try:
            import distributed  # noqa: PLC0415 - an extra
        except ImportError as error:
            raise BackendError(
                "forecast.backend dask needs Dask, which is not installed: pip install 'endpoint-chain-manager[dask]'"
            ) from error
        try:
            connect: Any = distributed.Client
            self._client = connect(self.scheduler, timeout=CONNECT_S, set_as_default=False)
        except (OSError, ValueError, TypeError) as error:
            raise BackendError(
                f"no Dask scheduler answers at {self.scheduler}: start one (dask scheduler), correct "
                "forecast.scheduler, or set forecast.backend to local"
            ) from error
        try:
            self._check_workers()
        except BaseException:
            self._client.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Leave the cluster; it goes on."""
        self._client.close()

    def _check_workers(self) -> None:
        try:
            versions = self._client.run(_version)
        except Exception as error:
            raise BackendError(f"a worker of {self.scheduler} cannot run ECM: {error}") from error
        if not versions:
            raise BackendError(f"no worker has joined the Dask scheduler at {self.scheduler}: start some (dask worker)")
        others = {worker: found for worker, found in versions.items() if found != __version__}
        if others:
            worker, found = min(others.items())
            raise BackendError(f"Dask worker {worker} has ECM {found}, not {__version__}: results would differ")

    def map(self, work: Callable[..., Made], common: Task, tasks: Iterable[Task]) -> Iterator[Made]:
        """Yield `work(*task, *common)` for all `tasks`, in their order; `common` is sent to every worker once."""
        # In a list: Dask would spread a bare tuple's items, one each.
        (shared,) = self._client.scatter([common], broadcast=True, hash=False)
        most = AHEAD * max(1, sum(self._client.nthreads().values()))
        waiting: deque[Any] = deque()
        for task in tasks:
            waiting.append(self._client.submit(_on_worker, work, task, shared, pure=False))
            if len(waiting) >= most:
                yield self._result(waiting.popleft())
        while waiting:
            yield self._result(waiting.popleft())

    def _result(self, future: Any) -> Any:  # noqa: ANN401 - Dask has no types
        worker, made = future.result()
        self.ran[worker] += 1
        return made


def _version() -> str:
    return __version__


def _on_worker(work: Callable[..., Made], task: Task, common: Task) -> tuple[str, Made]:
    from distributed import get_worker  # noqa: PLC0415 - an extra

    return get_worker().address, work(*task, *common)
