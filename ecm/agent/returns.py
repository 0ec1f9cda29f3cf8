"""Clients' routes in the kernel: what WireGuard has heard, what siblings claim, and what this node claims."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Network
from typing import Any

from ecm.agent.clients import Claim, Claims, Heard
from ecm.agent.settings import Tools
from ecm.agent.shell import Shell, ToolError
from ecm.agent.version import Client
from ecm.model.document import Clients


class ReturnRoutes:
    """The routes of one ingress node's clients; `look` is called every half second."""

    def __init__(self, shell: Shell, tools: Tools, document: Clients, clients: Iterable[Client]) -> None:
        self._shell = shell
        self._tools = tools
        self._document = document
        self._addresses = {c.public_key: str(c.address) for c in clients}
        self.heard: Mapping[str, Heard] = {}
        self._claims = Claims(held=self._standing())

    @property
    def claims(self) -> Mapping[str, Claim]:
        """What this node claims, by address."""
        return self._claims.held

    def replace_clients(self, document: Clients, clients: Iterable[Client]) -> None:
        """Go on with another peer table; claims of clients that are gone end with the next look."""
        self._document = document
        self._addresses = {c.public_key: str(c.address) for c in clients}

    def look(self, now: int) -> bool:
        """Look once and set routes accordingly; return whether any changed. `now` is in seconds of the epoch."""
        self.heard = self._hear()
        before = dict(self._claims.held)
        claims = self._claims.look(self.heard, self._siblings(), now)
        lines = [line for address in {**before, **claims} for line in self._lines(address, before, claims)]
        if lines:
            # -force: a line that fails, such as for a route that is gone, does not stop the others.
            try:
                self._shell.run(self._tools.ip, "-4", "-force", "-batch", "-", stdin="\n".join(lines) + "\n")
            except ToolError:
                self._claims.held = self._standing()
        return bool(lines)

    def withdraw(self) -> None:
        """Withdraw every route: this node leaves."""
        self._shell.run(self._tools.ip, "-4", "route", "flush", "table", str(self._document.table))
        self._claims = Claims()

    def _lines(self, address: str, before: Mapping[str, Claim], after: Mapping[str, Claim]) -> list[str]:
        old, new = before.get(address), after.get(address)
        if old == new:
            return []
        lines = [f"route replace {self._words(address, new)}"] if new else []
        # The metric is part of what a route is: a later stamp is another route beside the older one.
        if old is not None and (new is None or old.stamp != new.stamp):
            lines.append(f"route del {self._words(address, old)}")
        return lines

    def _words(self, address: str, claim: Claim) -> str:
        document = self._document
        return (
            f"{address}/32 dev {claim.interface} table {document.table} proto {document.protocol} metric {claim.stamp}"
        )

    def _hear(self) -> dict[str, Heard]:
        found: dict[str, Heard] = {}
        for name in self._document.interfaces:
            try:
                rows = self._shell.run(self._tools.wg, "show", name, "dump").splitlines()[1:]
            except ToolError:
                continue
            for row in rows:
                public, _, _, _, handshake, received, *_ = row.split("\t")
                address = self._addresses.get(public)
                known = found.get(address or "")
                if address and (known is None or int(handshake) > known.handshake):
                    found[address] = Heard(name, int(handshake), int(received))
        return found

    def _standing(self) -> dict[str, Claim]:
        """Return the claims that stand, as an agent before this one has left them."""
        found: dict[str, Claim] = {}
        for row in self._table(self._document.table):
            if str(row.get("protocol")) == str(self._document.protocol) and "dev" in row:
                found[str(row["dst"])] = Claim(str(row["dev"]), int(row.get("metric", 0)))
        return found

    def _siblings(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for row in self._table(self._document.siblings_table):
            address = str(row.get("dst", ""))
            if _within(address, self._document.network):
                found[address] = max(found.get(address, 0), int(row.get("metric", 0)))
        return found

    def _table(self, number: int) -> list[dict[str, Any]]:
        try:
            rows = json.loads(
                self._shell.run(self._tools.ip, "-4", "-j", "route", "show", "table", str(number)) or "[]"
            )
        except (ToolError, ValueError):  # ip fails for a table that was never used
            return []
        return [row for row in rows if isinstance(row, dict)]


def _within(address: str, network: IPv4Network) -> bool:
    try:
        return IPv4Network(address).subnet_of(network)
    except ValueError:
        return False
