"""Routing: the kernel's rules, exactly those of the document, and BIRD, which takes a configuration back by itself."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ecm.agent.settings import Settings
from ecm.agent.shell import Shell, ToolError
from ecm.agent.version import VersionError
from ecm.files import replace
from ecm.model.document import Rule

FIRST, LAST = 100, 499
"""Priorities of the rules that are the document's."""
_DRAINING: Final = re.compile(r"^define draining = [01];$", re.MULTILINE)
_BFD_ROW: Final = re.compile(r"^(\S+)\s+(\S+)\s+(Up|Down|Init|AdminDown)\s", re.MULTILINE)


@dataclass(frozen=True)
class Session:
    """A BFD session with a neighbour."""

    interface: str
    up: bool


def sync_rules(shell: Shell, ip: str, wanted: Iterable[Rule]) -> bool:
    """Make the kernel's rules at priorities 100 to 499 those of the document; return whether any changed.

    New ones come before old ones go, so that no packet ever falls through.
    """
    rows = json.loads(shell.run(ip, "-j", "-4", "rule", "show") or "[]")
    held = {_spoken(_of_row(row)): None for row in rows if FIRST <= row.get("priority", 0) <= LAST}
    new = {_spoken(_of_rule(rule)): None for rule in wanted}
    lines = [f"rule add {words}" for words in new if words not in held]
    lines += [f"rule del {words}" for words in held if words not in new]
    if lines:
        shell.run(ip, "-4", "-batch", "-", stdin="\n".join(lines) + "\n")
    return bool(lines)


def has_default(shell: Shell, ip: str, table: int) -> bool:
    """Return whether a table leads anywhere; one that the kernel does not know leads nowhere."""
    try:
        rows = json.loads(shell.run(ip, "-j", "-4", "route", "show", "table", str(table)) or "[]")
    except ToolError:
        return False
    return any(row.get("dst") == "default" and row.get("type", "unicast") == "unicast" for row in rows)


def _of_rule(rule: Rule) -> tuple[str, ...]:
    mark = f"{rule.fwmark}/{rule.mask}" if rule.fwmark else ""
    return (str(rule.priority), str(rule.to or ""), mark, str(rule.table) if rule.table is not None else "")


def _of_row(row: dict[str, Any]) -> tuple[str, ...]:
    to = f"{row['dst']}/{row.get('dstlen', 32)}" if row.get("dst", "all") != "all" else ""
    mark = f"0x{int(row['fwmark'], 0):08x}/0x{int(row.get('fwmask', '0xffffffff'), 0):08x}" if "fwmark" in row else ""
    return (str(row["priority"]), to, mark, str(row.get("table", "")) if "action" not in row else "")


def _spoken(rule: tuple[str, ...]) -> str:
    priority, to, mark, table = rule
    words = [f"priority {priority}"]
    words += [f"to {to}"] if to else []
    words += [f"fwmark {mark}"] if mark else []
    return " ".join([*words, f"lookup {table}" if table else "unreachable"])


class Bird:
    """The routing daemon of this network namespace."""

    def __init__(self, shell: Shell, settings: Settings) -> None:
        self._shell = shell
        self._tools = settings.tools
        self._settings = settings.bird
        self._run = settings.directories.run

    def check(self, text: str) -> None:
        """Let `bird` parse a configuration without using it; VersionError when it refuses."""
        file = self._run / "check.bird.conf"
        replace(file, text.encode(), 0o600)
        try:
            self._shell.run(self._tools.bird, "-p", "-c", str(file))
        except ToolError as error:
            raise VersionError(f"bird refuses its configuration: {error.said.strip()[:300]}") from None
        finally:
            file.unlink(missing_ok=True)

    def ensure(self, file: Path) -> bool:
        """Start BIRD where that is the agent's task and it does not run; return whether it answers."""
        if self.answers():
            return True
        if self._settings.start:
            pid = self._run / "bird.pid"
            self._shell.launch(self._tools.bird, "-c", str(file), "-s", str(self._settings.socket), "-P", str(pid))
            return self.answers()
        return False

    def answers(self) -> bool:
        """Return whether BIRD runs."""
        try:
            self._ask("show status")
        except ToolError:
            return False
        return True

    def configure(self, file: Path, undo_after_s: int) -> None:
        """Give BIRD the configuration in `file`; without `confirm` it goes back to the last by itself."""
        said = self._ask(f'configure "{file}" timeout {undo_after_s}')
        if "Reconfigur" not in said:
            raise ToolError((self._tools.birdc, "configure"), said)

    def confirm(self) -> None:
        """Keep the configuration."""
        self._ask("configure confirm")

    def sessions(self) -> list[Session]:
        """Return every BFD session."""
        try:
            said = self._ask("show bfd sessions")
        except ToolError:
            return []
        return [Session(name, state == "Up") for _, name, state in _BFD_ROW.findall(said)]

    def _ask(self, command: str) -> str:
        return self._shell.run(
            self._tools.birdc,
            "-r" if command.startswith("show") else "-v",
            "-s",
            str(self._settings.socket),
            command,
            timeout=10,
        )


def draining(text: str, *, on: bool) -> str:
    """Return BIRD's configuration with its one switch set: a draining node is left by new traffic."""
    return _DRAINING.sub("define draining = 1;", text) if on else text
