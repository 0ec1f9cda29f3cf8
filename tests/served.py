"""The routing service of the tests as a process of its own: `python -m tests.served BOOK PORT [CERT KEY CLIENT_CA]`."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

from ecm.serve.app import make_app
from ecm.serve.listen import Way, listen
from ecm.serve.place import place_of
from ecm.serve.service import Settings
from tests.leases import ROOM, STACK
from tests.serving import an_offer

if __name__ == "__main__":
    offer = an_offer(room=dict.fromkeys(ROOM, 100))
    settings = Settings(
        place_of(sys.argv[1]),
        STACK,
        lambda: datetime.now(UTC),  # noqa: TID251 - an entry point
        lambda: offer,
        rate_per_s=1e6,
    )
    listen(make_app(settings), Way("127.0.0.1", int(sys.argv[2]), *map(Path, sys.argv[3:])))
