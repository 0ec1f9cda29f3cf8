"""The ruleset: loaded as one transaction, and known again by its content without counters and learnt elements."""

from __future__ import annotations

import json
from typing import Any

from ecm.agent.shell import Shell, ToolError
from ecm.agent.version import VersionError
from ecm.model.base import canonical_json, digest_bytes

TABLE = ("inet", "ecm")
_RUNNING = frozenset({"handle", "packets", "bytes", "index"})


class Firewall:
    """The table `inet ecm` of this network namespace."""

    def __init__(self, shell: Shell, nft: str) -> None:
        self._shell = shell
        self._nft = nft
        self.loads = 0
        """How often a ruleset was loaded: each begins with the maps empty that others fill."""

    def check(self, text: str) -> None:
        """Let `nft` check a ruleset without loading it; VersionError when it refuses."""
        try:
            self._shell.run(self._nft, "-c", "-f", "-", stdin=text)
        except ToolError as error:
            raise VersionError(f"nft refuses the ruleset: {error.said.strip()[:300]}") from None

    def load(self, text: str) -> str:
        """Load a ruleset and return its digest."""
        self.fill(text)
        self.loads += 1
        loaded = self.digest()
        if loaded is None:
            raise ToolError((self._nft, "-f", "-"), "the table is not there after loading")
        return loaded

    def fill(self, text: str) -> None:
        """Run statements as one transaction: all of them, or none."""
        self._shell.run(self._nft, "-f", "-", stdin=text)

    def table(self) -> list[dict[str, Any]]:
        """Return the table as nft shows it, counters included; empty where it is not loaded."""
        try:
            shown = json.loads(self._shell.run(self._nft, "-j", "list", "table", *TABLE))
        except ToolError:
            return []
        rows: list[dict[str, Any]] = shown.get("nftables", [])
        return rows

    def digest(self) -> str | None:
        """Return what the loaded ruleset is known by; None where there is none."""
        return digest_of(self.table())


def digest_of(rows: list[dict[str, Any]]) -> str | None:
    """Return the digest of a table's rules, sets and maps; what packets or an overlay leave in it does not count."""
    kept = [_still(row) for row in rows if "metainfo" not in row]
    return digest_bytes(canonical_json(kept)) if kept else None


def _still(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    if isinstance(value, dict):
        flags = value.get("flags", ())
        learnt = "dynamic" in flags or "timeout" in flags or bool(value.get("stmt"))
        skip = _RUNNING | ({"elem"} if learnt else frozenset())
        kept = {k: _still(v) for k, v in value.items() if k not in skip}
        if isinstance(kept.get("elem"), list):  # nft lists them in the order of its hash
            kept["elem"] = sorted(kept["elem"], key=canonical_json)
        return kept
    if isinstance(value, list):
        return [_still(v) for v in value]
    return value
