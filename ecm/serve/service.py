"""One process of the service: its book, its desk, and what it reads again from time to time."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeVar

from ecm.serve.access import Access, Rates
from ecm.serve.book import Book, Reader
from ecm.serve.database import Place
from ecm.serve.desk import Desk
from ecm.serve.errors import ServeError
from ecm.serve.measures import Measures
from ecm.serve.offer import Offer
from ecm.serve.publisher import Publication, Published, Publisher
from ecm.serve.tokens import Tokens

Seen = TypeVar("Seen")

_LOG: Final = logging.getLogger(__name__)
TOKENS_S: Final = 1.0
"""Between two looks at the tokens: so soon every process refuses a revoked one."""


@dataclass(frozen=True)
class Settings:
    """What a process is started with."""

    place: Place
    """Where the lease book is."""
    stack: str
    clock: Callable[[], datetime]
    """The time, to the millisecond."""
    offers: Callable[[], Offer]
    """Reads what the applied plan offers; called in a thread."""
    refresh_s: float = 10.0
    """Between two looks for a newer plan."""
    rate_per_s: float = 200.0
    """Requests of one token a second."""
    publication: Publication | None = None
    """Where the overlay goes that makes traffic follow leases; none: leases are promises alone."""


class Service:
    """What the routes work with; BookError where the book cannot be used."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.clock = settings.clock
        self.measures = Measures()
        self.access = Access(settings.clock, Rates(settings.rate_per_s, time.monotonic))
        self._book = Book(settings.place, settings.stack)
        self._reader = Reader(settings.place, settings.stack)
        self._reading = ThreadPoolExecutor(1, thread_name_prefix="read")
        self._tokens = Tokens(settings.place, settings.stack)
        self.desk = Desk(self._book, settings.clock, self._offers)
        self._publisher = None
        if settings.publication is not None:
            self._publisher = Publisher(settings.publication, Reader(settings.place, settings.stack))

    @property
    def published(self) -> Published | None:
        """What this process has written of overlays; None where it writes none."""
        return self._publisher.published if self._publisher else None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Serve for the block: with the plan and the tokens read; what waits at its end is answered."""
        self.access.take(self._tokens.held())
        writing = asyncio.create_task(self.desk.run())
        await self.desk.follow()
        tasks = [
            asyncio.create_task(_again(self.settings.refresh_s, self.desk.follow)),
            asyncio.create_task(_again(TOKENS_S, self._look_at_tokens)),
        ]
        if self._publisher is not None:
            tasks.append(asyncio.create_task(self._publish(self._publisher)))
        try:
            yield
        finally:
            self.desk.close()
            await writing
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._reading.shutdown()
            for opened in (self._book, self._reader, self._tokens):
                opened.close()

    async def read(self, look: Callable[[Reader], Seen]) -> Seen:
        """Return what `look` sees of what is committed; BookError where the book cannot be read."""
        if not self.settings.place.far:
            return look(self._reader)
        return await asyncio.get_running_loop().run_in_executor(self._reading, look, self._reader)

    async def _publish(self, publisher: Publisher) -> None:
        try:
            while True:
                wait_s = 1.0
                try:
                    wait_s = await asyncio.to_thread(publisher.turn, self.desk.offer, self.clock())
                except Exception:
                    _LOG.exception("overlays could not be written; trying again")
                await asyncio.sleep(wait_s)
        finally:
            publisher.close()

    async def _offers(self) -> Offer:
        return await asyncio.to_thread(self.settings.offers)

    async def _look_at_tokens(self) -> None:
        self.access.take(await asyncio.to_thread(self._tokens.held))


async def _again(seconds: float, work: Callable[[], Awaitable[None]]) -> None:
    """Do `work` every so many seconds; what it cannot read now stays as it was read last, which is said once."""
    said = ""
    while True:
        await asyncio.sleep(seconds)
        try:
            await work()
        except ServeError as error:
            if str(error) != said:
                _LOG.warning("could not be read again; going on with what was read before: %s", error)
            said = str(error)
        except Exception:
            _LOG.exception("could not be read again; going on with what was read before")
        else:
            said = ""
