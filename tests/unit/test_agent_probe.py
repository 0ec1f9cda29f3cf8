"""What a node says of the chains that begin on it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

import pytest

from ecm.agent.health import LAYERS, Health, Layer
from ecm.agent.probe import EVERY_S, Prober, probes
from ecm.agent.source import SourceError
from ecm.model.contract import PROBE_METRIC
from ecm.model.document import FORWARD_TABLES, Document
from ecm.model.node_report import LayerName
from tests.unit.agent_nodes import SLOT, rendered


def document(slot: str = SLOT) -> Document:
    texts = (n.base.text for n in rendered().nodes if n.base.key == f"nodes/{slot}/g1/base.json")
    return Document.model_validate(json.loads(next(texts)))


def health(*wrong: LayerName, draining: bool = False) -> Health:
    return Health(tuple(Layer(name, ok=name not in wrong) for name in LAYERS), draining=draining, panic=False)


def test_a_chain_is_well_while_its_own_table_leads_to_an_exit() -> None:
    (chain,) = document().names.chains
    table = FORWARD_TABLES + chain.number
    assert table in {rule.table for rule in document().rules}
    assert probes(document(), health(), lambda asked: asked == table) == {chain.id: True}
    assert probes(document(), health(), lambda asked: asked != table) == {chain.id: False}


@pytest.mark.parametrize("layer", [layer for layer in LayerName if layer is not LayerName.PATH])
def test_a_node_that_is_not_right_itself_vouches_for_no_chain(layer: LayerName) -> None:
    assert set(probes(document(), health(layer), lambda _: True).values()) == {False}


def test_a_drain_says_nothing_against_the_chain() -> None:
    assert set(probes(document(), health(draining=True), lambda _: True).values()) == {True}


def test_nodes_further_down_say_nothing() -> None:
    assert probes(document("out/us-east-1a/0"), health(), lambda _: True) == {}


class Kept:
    """A meter that keeps what it gets."""

    def __init__(self) -> None:
        self.got: list[tuple[str, tuple[tuple[Mapping[str, str], float], ...]]] = []
        self.broken = ""

    def put(self, metric: str, values: Iterable[tuple[Mapping[str, str], float]]) -> None:
        if self.broken:
            raise SourceError(self.broken)
        self.got.append((metric, tuple(values)))


def test_every_chain_is_told_twice_a_minute_with_its_own_dimensions() -> None:
    meter = Kept()
    prober = Prober(meter)
    for second in range(121):
        if prober.is_due(float(second)):
            prober.write(float(second), "dev", {"fast": True, "guarded": False})
    assert len(meter.got) == 1 + 120 // EVERY_S
    fast, guarded = {"Stack": "dev", "Chain": "fast"}, {"Stack": "dev", "Chain": "guarded"}
    assert meter.got[0] == (PROBE_METRIC, ((fast, 1.0), (guarded, 0.0)))


def test_what_cloudwatch_refuses_is_a_problem_until_it_takes_it() -> None:
    meter = Kept()
    prober = Prober(meter)
    meter.broken = "AccessDenied"
    prober.write(0, "dev", {"fast": True})
    assert prober.problem == "AccessDenied"
    meter.broken = ""
    prober.write(EVERY_S, "dev", {"fast": True})
    assert prober.problem == ""
