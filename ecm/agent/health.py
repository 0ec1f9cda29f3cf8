"""The layered rule: what a node needs before it may take new traffic, and when one without a path still takes it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from typing import Final

from ecm.agent.routing import Session
from ecm.model.document import Document, Sibling
from ecm.model.node_report import LayerName

PROBE_TIMEOUT_S: Final = 0.5
LAYERS: Final = tuple(LayerName)

Ask = Callable[[Sibling, int], bool | None]
"""Whether a sibling has a path; None where it does not answer."""


@dataclass(frozen=True)
class Layer:
    """One thing that a node has to have."""

    name: str
    ok: bool
    detail: str = ""


@dataclass(frozen=True)
class Health:
    """A node's health at one moment."""

    layers: tuple[Layer, ...]
    draining: bool
    panic: bool
    """No ingress node has a path: this one goes on as if it had one, so that the load balancer keeps all of them."""

    @property
    def has_path(self) -> bool:
        """Whether the node reaches the next tier, or needs none; what siblings ask."""
        return any(layer.name == "path" and layer.ok for layer in self.layers)

    @property
    def healthy(self) -> bool:
        """Whether the node may take new traffic."""
        return not self.draining and all(layer.ok or (layer.name == "path" and self.panic) for layer in self.layers)

    @property
    def why(self) -> str:
        """Why it may not, in a few words."""
        wrong = [f"{layer.name}: {layer.detail}" for layer in self.layers if not layer.ok]
        wrong = ["no configuration yet"] if self.layers == NOTHING.layers else wrong
        return "; ".join([*(["draining"] if self.draining else []), *wrong])


NOTHING: Final = Health(tuple(Layer(name, ok=False) for name in LAYERS), draining=False, panic=False)


@dataclass(frozen=True)
class Seen:
    """What was found on the machine."""

    wrong_interfaces: tuple[str, ...]
    missing_keys: tuple[str, ...]
    firewall_stands: bool
    bird_answers: bool
    sessions: tuple[Session, ...]


def judge(document: Document, seen: Seen, *, confirmed: bool, draining: bool) -> Health:
    """Return a node's health without panic mode.

    The next tier is reached when BFD hears one of its nodes over one of the tunnels that lead away from the clients.
    A node without such tunnels ends its chains and needs none. Of the keys only those count without which no client
    can connect: a neighbour that has not published its own yet shows in the path.
    """
    own = {document.keys.private, *([document.keys.edge.token] if document.keys.edge else [])}
    keys = [token for token in seen.missing_keys if token in own]
    down = {d.name for d in document.interfaces if d.kind == "tunnel" and d.name.startswith("d")}
    reached = sum(1 for s in seen.sessions if s.up and s.interface in down)
    layers = (
        Layer("interface", not seen.wrong_interfaces, f"not up: {', '.join(seen.wrong_interfaces[:5])}"),
        Layer("keys", not keys, f"missing: {', '.join(keys)}"),
        Layer("config", confirmed, "not confirmed"),
        Layer("firewall", seen.firewall_stands, "the loaded ruleset is not the node's"),
        Layer("routing", seen.bird_answers or not _routes(document), "BIRD does not answer"),
        Layer("path", not down or reached > 0, f"none of {len(down)} tunnels to the next tier is up"),
    )
    plain = tuple(Layer(layer.name, layer.ok, "" if layer.ok else layer.detail) for layer in layers)
    return Health(plain, draining or document.health.draining, panic=False)


def _routes(document: Document) -> bool:
    return any(d.kind == "tunnel" for d in document.interfaces)


def with_panic(health: Health, document: Document, ask: Ask) -> Health:
    """Return `health` in panic mode where this is an ingress node without a path, and no sibling has one.

    A sibling that does not answer has no say: whether it is dead or only out of this node's reach cannot be told
    apart. So a node that reaches nobody, though it has siblings, is itself cut off and stays red; when that holds for
    all, the load balancer fails open anyway.
    """
    if document.clients is None or health.has_path:
        return health
    siblings = document.clients.siblings
    answers = _answers(siblings, document.health.port, ask)
    nobody = not siblings or (bool(answers) and not any(answers))
    return Health(health.layers, health.draining, panic=nobody)


def _answers(siblings: Iterable[Sibling], port: int, ask: Ask) -> list[bool]:
    known = tuple(siblings)
    if not known:
        return []
    with ThreadPoolExecutor(max_workers=min(8, len(known))) as pool:
        return [a for a in pool.map(lambda s: ask(s, port), known) if a is not None]


def ask_sibling(sibling: Sibling, port: int) -> bool | None:
    """Ask a sibling over the private network whether it has a path."""
    connection = HTTPConnection(str(sibling.address), port, timeout=PROBE_TIMEOUT_S)
    try:
        connection.request("GET", "/path")
        answer: Mapping[str, object] = json.loads(connection.getresponse().read(1000))
        found = answer.get("path")
    except (OSError, HTTPException, ValueError, AttributeError):
        return None
    finally:
        connection.close()
    return found if isinstance(found, bool) else None
