"""Everything that comes from elsewhere: versions, neighbours' public keys, shared keys; and what goes there."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from ecm.agent.keys import Neighbours, SharedKeys, own_key, public_of, ring
from ecm.agent.pull import Puller, PullError
from ecm.agent.settings import Settings
from ecm.agent.source import Source, SourceError
from ecm.agent.state import State
from ecm.agent.version import Version
from ecm.model.document import Document


@dataclass(frozen=True)
class Offered:
    """What the feed has, at one moment."""

    version: Version | None = None
    shared: Mapping[str, str] = field(default_factory=dict, repr=False)
    public: Mapping[str, str] = field(default_factory=dict, repr=False)
    problems: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """What is wrong, by where: `config`, `keys`, `secrets`, `publish`."""
    refused: int = 0
    """Offers that were not taken since the agent started."""


class Feed:
    """Asks the source in a thread of its own, so that a slow network never holds up the node."""

    def __init__(self, source: Source, shared: SharedKeys, puller: Puller, state: State) -> None:
        self._source = source
        self._shared = shared
        self._puller = puller
        self._state = state
        self._neighbours = Neighbours(source, state.folder / "neighbours.json")
        self._due: dict[str, float] = {}
        self._published: str | None = None
        self._lock = threading.Lock()
        self.private = own_key(state.node_key)
        self._offered = Offered(shared=dict(shared.held))

    @property
    def offered(self) -> Offered:
        """What the feed has now."""
        with self._lock:
            return self._offered

    def keys(self, document: Document) -> Mapping[str, str]:
        """Return the keys of a document's tokens, as far as they are known."""
        offered = self.offered
        public = {**self._neighbours.remembered(document, public_of(self.private)), **offered.public}
        return ring(document, self.private, offered.shared, public).by_token

    def missing(self, document: Document) -> tuple[str, ...]:
        """Return the tokens of a document that have no key yet."""
        offered = self.offered
        public = {**self._neighbours.remembered(document, public_of(self.private)), **offered.public}
        return ring(document, self.private, offered.shared, public).missing

    def edge_key(self, document: Document) -> str | None:
        """Return the public key that clients know the node by; None where it has no clients, or no key yet."""
        edge = document.keys.edge
        private = self.offered.shared.get(edge.token) if edge else None
        return public_of(private) if private else None

    def turn(self, now: float, settings: Settings, document: Document | None) -> bool:
        """Ask for whatever is due at `now` (seconds, monotonic); return whether anything that is offered changed."""
        before = self.offered
        every = settings.intervals
        if self._is_due("config", now, every.config_s):
            self._pull()
        wanted = document if self.offered.version is None else self.offered.version.document
        if wanted is not None:
            all_keys = self._is_due("keys", now, every.keys_s)
            if all_keys or self._is_due("missing", now, every.config_s):
                self._ask_neighbours(wanted, only_missing=not all_keys)
            if self._published != wanted.keys.publish and self._is_due("publish", now, every.config_s):
                self._publish(wanted)
            absent = any(t not in self.offered.shared for t in _shared_tokens(wanted))
            if self._is_due("secrets", now, every.config_s if absent else every.secrets_s):
                self._ask_secrets(wanted)
        return self.offered != before

    def _is_due(self, what: str, now: float, every: float) -> bool:
        if now - self._due.get(what, float("-inf")) < every:
            return False
        self._due[what] = now
        return True

    def _pull(self) -> None:
        try:
            version = self._puller.pull(self._state.set_accepted)
        except (PullError, SourceError) as error:
            known = self.offered.problems.get("config", ())
            again = known == (str(error),) or isinstance(error, SourceError)
            self._set(refused=self.offered.refused + (0 if again else 1))
            self._say("config", (str(error),))
            return
        self._say("config", ())
        if version is not None:
            self._set(version=version)
            self._due.pop("keys", None)
            self._due.pop("secrets", None)

    def _ask_neighbours(self, document: Document, *, only_missing: bool) -> None:
        found, problems = self._neighbours.refresh(document, public_of(self.private), only_missing=only_missing)
        self._set(public=found)
        self._say("keys", tuple(problems))

    def _ask_secrets(self, document: Document) -> None:
        problems = self._shared.refresh(document)
        self._set(shared=dict(self._shared.held))
        self._say("secrets", tuple(problems))

    def _publish(self, document: Document) -> None:
        try:
            self._source.publish(document.keys.publish, public_of(self.private).encode() + b"\n")
        except SourceError as error:
            self._say("publish", (str(error),))
            return
        self._published = document.keys.publish
        self._say("publish", ())

    def _say(self, where: str, problems: tuple[str, ...]) -> None:
        rest = {k: v for k, v in self.offered.problems.items() if k != where}
        self._set(problems={**rest, where: problems} if problems else rest)

    def _set(self, **changes: object) -> None:
        with self._lock:
            self._offered = replace(self._offered, **changes)  # type: ignore[arg-type]


def _shared_tokens(document: Document) -> tuple[str, ...]:
    edge = (document.keys.edge.token,) if document.keys.edge else ()
    return (*edge, *(pair.token for pair in document.keys.pairs))
