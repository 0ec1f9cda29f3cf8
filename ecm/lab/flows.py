"""Which flows each node carries, from the kernel's own tables of connections."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from ecm.lab.commands import inside
from ecm.lab.state import Folder
from ecm.lab.traffic import FIRST_PORT, PORTS

_ENTRY: Final = re.compile(r"^(?:udp|tcp) .*?sport=(\d+) dport=\d+ packets=(\d+)")


def carried(folder: Folder, keys: Iterable[str], seconds: float) -> dict[str, frozenset[int]]:
    """Return the source ports of the flows of which each node forwarded packets within the next `seconds`.

    Ports tell the lab's flows apart: no two have the same one at a time.
    """
    wanted = tuple(keys)
    with ThreadPoolExecutor(max_workers=4) as pool:
        before = dict(zip(wanted, pool.map(lambda key: _counted(folder, key), wanted), strict=True))
        time.sleep(seconds)
        after = dict(zip(wanted, pool.map(lambda key: _counted(folder, key), wanted), strict=True))
    return {key: frozenset(p for p, n in after[key].items() if n > before[key].get(p, 0)) for key in wanted}


def _counted(folder: Folder, key: str) -> Mapping[int, int]:
    found: dict[int, int] = {}
    for line in inside(folder.space(key), "conntrack", "-L", check=False).splitlines():
        match = _ENTRY.match(line)
        if match and FIRST_PORT <= int(match[1]) < FIRST_PORT + PORTS:
            found[int(match[1])] = found.get(int(match[1]), 0) + int(match[2])
    return found
