"""The node: tries what is offered, confirms or takes back, mends what others changed, and says how it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ecm.agent import health
from ecm.agent.apply import Machinery
from ecm.agent.feed import Feed
from ecm.agent.health import Ask, Health, Seen
from ecm.agent.settings import Settings
from ecm.agent.shell import ToolError
from ecm.agent.state import State
from ecm.agent.version import Version, VersionError

SETTLE_S: Final = 3.0
"""BFD notices within 0.6 s that a path is gone; a version is not confirmed on what was true before it."""
RETRY_S: Final = 5.0
"""Between two tries to mend."""


@dataclass
class Trial:
    """A version that is applied and not confirmed."""

    version: Version
    since: float
    had_path: bool


@dataclass
class Counts:
    """What happened since the agent started."""

    applied: int = 0
    confirmed: int = 0
    taken_back: int = 0
    mended: int = 0
    failed: int = 0


class Node:
    """One node's configuration over time. Not thread-safe: one thread calls `step` and `look`."""

    def __init__(self, settings: Settings, state: State, feed: Feed, machinery: Machinery) -> None:
        self._settings = settings
        self._state = state
        self._feed = feed
        self._machinery = machinery
        self.good = state.good()
        self.trial: Trial | None = None
        self.health: Health = health.NOTHING
        self.counts = Counts()
        self.last_error = ""
        self._retry_at = 0.0
        self._applied: tuple[str, Mapping[str, str], bool] | None = None

    @property
    def current(self) -> Version | None:
        """The version that the machine has, confirmed or on trial."""
        return self.trial.version if self.trial else self.good

    @property
    def edge_key(self) -> str | None:
        """The public key that clients know this node by."""
        return self._feed.edge_key(self.current.document) if self.current else None

    @property
    def draining(self) -> bool:
        """Whether a drain was asked for here."""
        return self._state.draining_since() is not None

    def start(self, now: float) -> None:
        """Reinstate what was good: a version that was on trial when the agent ended is taken back."""
        blamed = self._state.on_trial()
        if blamed and self.good and blamed != self.good.digest:
            self._state.refuse(blamed, "the agent ended while it was tried")
            self._state.end_trial()
        if self.good is not None:
            self._try("reinstating", now, lambda: self._make(self._required(self.good)))

    def step(self, now: float) -> None:
        """Take what is offered where it is new, or changed keys, or a drain."""
        offered = self._feed.offered.version
        current = self.current
        if offered is not None and self._is_new(offered) and now >= self._retry_at:
            self._begin(offered, now)
        elif current is not None and self._applied != self._wanted(current) and now >= self._retry_at:
            self._try("following keys or a drain", now, lambda: self._make(current))

    def look(self, now: float, ask: Ask = health.ask_sibling) -> Health:
        """Judge the node's health, confirm or take back what is on trial, and mend what is not as it was made."""
        current = self.current
        if current is None:
            return self.health
        seen = self._see(current)
        judged = health.judge(current.document, seen, confirmed=self.good is not None, draining=self.draining)
        if self.trial is not None:
            self._decide(judged, now)
        elif not (seen.firewall_stands and seen.bird_answers and not seen.wrong_interfaces) and now >= self._retry_at:
            self.counts.mended += 1
            self._try("mending", now, lambda: self._make(current))
        self.health = health.with_panic(judged, current.document, ask)
        return self.health

    def retry(self) -> None:
        """Let versions that failed be tried again."""
        self._state.forget_refusals()
        self._retry_at = 0.0

    def status(self) -> dict[str, Any]:
        """Return everything that a person or another program may want to know; never a key."""
        current, offered = self.current, self._feed.offered
        return {
            "healthy": self.health.healthy,
            "why": self.health.why,
            "panic": self.health.panic,
            "draining": self.health.draining,
            "layers": {layer.name: {"ok": layer.ok, "detail": layer.detail} for layer in self.health.layers},
            "config": {
                "digest": current.digest if current else None,
                "serial": current.serial if current else None,
                "confirmed": self.trial is None and self.good is not None,
                "offered": offered.version.digest if offered.version else None,
                "refused": self._state.refused(),
            },
            "problems": {where: list(texts) for where, texts in sorted(offered.problems.items())},
            "last_error": self.last_error,
            "left_out": list(self._machinery.host.left_out),
        }

    def _is_new(self, offered: Version) -> bool:
        known = {self.good.digest if self.good else None, self.trial.version.digest if self.trial else None}
        return offered.digest not in known and offered.digest not in self._state.refused()

    def _begin(self, version: Version, now: float) -> None:
        """Check a version with the real tools, then put it on trial."""
        try:
            self._machinery.check(version, self._feed.keys(version.document))
        except VersionError as error:
            self._refuse(version, str(error))
            return
        except ToolError as error:
            self._failed("checking", now, error)
            return
        # What was on trial gives way: its fate is decided by what comes after it.
        self._state.begin_trial(version.digest)
        self.trial = Trial(version, now, had_path=self.health.has_path and self.good is not None)
        self.counts.applied += 1
        try:
            self._make(version)
        except (ToolError, ValueError, OSError) as error:
            self._take_back(f"could not be applied: {error}", now)

    def _decide(self, judged: Health, now: float) -> None:
        trial = self._required(self.trial)
        wrong = [
            layer
            for layer in judged.layers
            if not layer.ok and layer.name not in ("config", "keys") and (layer.name != "path" or trial.had_path)
        ]
        if not wrong and now - trial.since >= min(SETTLE_S, self._settings.intervals.confirm_s / 2):
            self._confirm(trial.version)
        elif wrong and now - trial.since >= self._settings.intervals.confirm_s:
            self._take_back("; ".join(f"{layer.name}: {layer.detail}" for layer in wrong), now)

    def _confirm(self, version: Version) -> None:
        if self._machinery.bird.answers():
            self._machinery.bird.confirm()
        self._state.set_good(version)
        self.good, self.trial = version, None
        self.last_error = ""
        self.counts.confirmed += 1

    def _take_back(self, why: str, now: float) -> None:
        """Reinstate the last good version. A first version has none before it: it is tried again, and again."""
        trial, self.trial = self._required(self.trial), None
        self.counts.taken_back += 1
        self.last_error = f"version {trial.version.digest[:19]} was taken back: {why}"
        if self.good is None:
            self._retry_at = now + RETRY_S
            return
        self._state.refuse(trial.version.digest, why)
        good = self.good
        self._try("taking back", now, lambda: self._make(good))
        self._state.end_trial()

    def _refuse(self, version: Version, why: str) -> None:
        self.counts.failed += 1
        self.last_error = f"version {version.digest[:19]} is refused: {why}"
        self._state.refuse(version.digest, why)

    def _make(self, version: Version) -> None:
        wanted = self._wanted(version)
        self._machinery.apply(version, wanted[1], draining=self.draining)
        if self.trial is None and self._machinery.bird.answers():
            self._machinery.bird.confirm()
        self._applied = wanted

    def _wanted(self, version: Version) -> tuple[str, Mapping[str, str], bool]:
        return version.digest, self._feed.keys(version.document), self.draining

    def _try(self, doing: str, now: float, action: Callable[[], None]) -> None:
        try:
            action()
        except (ToolError, ValueError, OSError) as error:
            # What is half made looks whole: an interface may be up and have no keys. So it is made again until it is.
            self._applied = None
            self._failed(doing, now, error)

    def _failed(self, doing: str, now: float, error: Exception) -> None:
        self.counts.failed += 1
        self.last_error = f"{doing}: {error}"
        self._retry_at = now + RETRY_S

    def _see(self, version: Version) -> Seen:
        machinery, devices = self._machinery, version.document.interfaces
        try:
            wrong = tuple(machinery.interfaces.wrong(devices))
        except (ToolError, ValueError):
            wrong = tuple(d.name for d in devices)
        answers = machinery.bird.answers()
        return Seen(
            wrong_interfaces=wrong,
            missing_keys=self._feed.missing(version.document),
            firewall_stands=machinery.firewall_stands(),
            bird_answers=answers,
            sessions=tuple(machinery.bird.sessions()) if answers else (),
        )

    @staticmethod
    def _required(value: Any) -> Any:  # noqa: ANN401 - whatever is given
        if value is None:
            raise RuntimeError("called in the wrong state")
        return value
