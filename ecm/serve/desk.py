"""Group commit: requests of one moment share a transaction, and each is answered once the disk has it.

In a book that is near, decisions are made on the event loop, in microseconds; only the commit, which waits for the
disk, runs in a thread, and meanwhile the next group gathers. A book that is far is asked in that thread throughout: the
event loop never waits for a network.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Final, TypeVar

from ecm.serve.book import Book, Key, Writing
from ecm.serve.errors import BookError, BusyError, FaultError, OutdatedError, ServeError
from ecm.serve.offer import Offer

Done = TypeVar("Done")
Order = Callable[[Writing, Offer], Done]
"""What one request does to the book; a ServeError is its answer, and it raises one before it writes anything."""

_LOG: Final = logging.getLogger(__name__)
GROUP: Final = 256
"""Requests that share a transaction at most."""
QUEUE: Final = 2048
"""Requests that wait at most: two seconds of a thousand a second; more are told to come again."""
PAUSE_S: Final = 0.0005
"""Between two attempts to write while another process does."""
PATIENCE_S: Final = 5.0
"""For how long another process may write before requests are told to come again."""


@dataclass(frozen=True)
class _Waiting:
    """A request that waits."""

    order: Order[Any]
    key: Key | None
    future: asyncio.Future[Any]


class Desk:
    """The one writer of a process."""

    def __init__(self, book: Book, clock: Callable[[], datetime], offers: Callable[[], Awaitable[Offer]]) -> None:
        """`offers` returns what the applied plan offers, read again where it has changed."""
        self._book = book
        self._clock = clock
        self._offers = offers
        self._offer: Offer | None = None
        self._waiting: list[_Waiting] = []
        self._wake = asyncio.Event()
        self._committer = ThreadPoolExecutor(1, thread_name_prefix="commit")
        self._closing = False
        self.groups = 0
        self.grouped = 0
        self.commit_s = 0.0

    @property
    def offer(self) -> Offer:
        """What the applied plan offers; BusyError before it was read."""
        if self._offer is None:
            raise BusyError("the applied plan is being read; try again")
        return self._offer

    async def refresh(self) -> None:
        """Take what the applied plan offers now."""
        self._offer = await self._offers()

    async def follow(self) -> None:
        """Refresh, and have the book follow: a newer plan's room is in it, what has expired is out of it."""
        await self.refresh()
        await self.do(lambda _writing, _offer: None)

    async def do(self, order: Order[Done], key: Key | None = None) -> Done:
        """Return what `order` did, once it is on the disk; a ServeError of its own, BusyError or BookError instead.

        `key` is the idempotency key that it will ask the book for.
        """
        if self._closing or len(self._waiting) >= QUEUE:
            raise BusyError("more is asked for than can be written; try again in a second")
        future: asyncio.Future[Done] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(order, key, future))
        self._wake.set()
        return await future

    async def run(self) -> None:
        """Serve what waits until `close`, then what is left."""
        while not (self._closing and not self._waiting):
            await self._wake.wait()
            group, self._waiting = self._waiting[:GROUP], self._waiting[GROUP:]
            if not self._waiting and not self._closing:
                self._wake.clear()
            if group:
                await self._serve(group)
        self._committer.shutdown()

    def close(self) -> None:
        """Take nothing more; `run` ends when what waits is answered."""
        self._closing = True
        self._wake.set()

    async def _serve(self, group: list[_Waiting]) -> None:
        try:
            answers = await self._transact(group)
        except ServeError as error:
            answers = [error] * len(group)
        except Exception:
            if len(group) > 1:  # a fault of one request is not the others'
                for one in group:
                    await self._serve([one])
                return
            _LOG.exception("a request made the service fail; nothing was written")
            answers = [FaultError("nothing was written; please report what the service's log says")]
        for waiting, answer in zip(group, answers, strict=True):
            if waiting.future.done():
                continue
            if isinstance(answer, ServeError):
                waiting.future.set_exception(answer)
            else:
                waiting.future.set_result(answer)

    async def _transact(self, group: list[_Waiting]) -> list[Any]:
        writing = await self._begun()
        answers = await self._near(lambda: self._ordered(writing, group))
        loop = asyncio.get_running_loop()
        began = loop.time()
        await loop.run_in_executor(self._committer, writing.commit)
        self.groups, self.grouped = self.groups + 1, self.grouped + len(group)
        self.commit_s += loop.time() - began
        return answers

    def _ordered(self, writing: Writing, group: list[_Waiting]) -> list[Any]:
        """Return the answer to each of `group`; nothing stays written where the book itself fails."""
        answers: list[Any] = []
        try:
            if self._book.far:
                writing.look_up([waiting.key for waiting in group if waiting.key is not None])
            for waiting in group:
                if waiting.future.cancelled():
                    answers.append(None)
                    continue
                try:
                    answers.append(waiting.order(writing, self.offer))
                except BookError:
                    raise
                except ServeError as error:
                    answers.append(error)
        except BaseException:
            self._book.abandon()
            raise
        return answers

    async def _near(self, work: Callable[[], Done]) -> Done:
        """Do `work` here, or in the thread where the book is far."""
        if not self._book.far:
            return work()
        return await asyncio.get_running_loop().run_in_executor(self._committer, work)

    async def _begun(self) -> Writing:
        loop = asyncio.get_running_loop()
        until = loop.time() + PATIENCE_S
        while loop.time() < until:
            rooms, now = self.offer.rooms, self._clock()
            try:
                writing = await self._near(partial(self._book.begin, rooms, now))
            except OutdatedError as error:
                await self._catch_up(error)
                continue
            if writing is not None:
                return writing
            await asyncio.sleep(PAUSE_S)
        raise BusyError("another process has been writing for too long; try again")

    async def _catch_up(self, error: OutdatedError) -> None:
        """Read the plan that another process knows already; `error` again where it cannot be read here."""
        before = self.offer.rooms.applied
        try:
            await self.refresh()
        except Exception:
            _LOG.exception("the plan that was applied last cannot be read")
            raise error from None
        if self.offer.rooms.applied <= before:
            raise error
