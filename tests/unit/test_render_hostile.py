"""Hostile text never reaches a file: the contexts refuse it, whatever model it came in."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import Environment, nodes
from pydantic import TypeAdapter, ValidationError

from ecm.model import fields
from ecm.model.plan import Desired
from ecm.render import RenderError
from ecm.render.templates import open_templates
from tests.builders import a_route, a_vpn
from tests.unit.render_states import TEMPLATES, a_peer, naming, peers_of, render, three_tiers

Change = Callable[[Desired, str], Desired]
HOSTILE = (
    "web\n",
    "web\naccept",
    'web"',
    "web'",
    "web;",
    "web; flush ruleset",
    "{{ 7 * 7 }}",
    "{% raw %}",
    "web`id`",
    "$(id)",
    "web#",
    "wéb",
    "w\u0435b",
    "web\u2028",
    "web\x00",
    "../web",
    "web}",
    "@private:node@",
    "",
    "w" * 200,
)


def _renamed(desired: Desired, place: str, name: str) -> Desired:
    """`desired` with a hostile name, put there without validation, wherever that name occurs."""
    return PLACES[place](desired, name)


def _slot(field: str, text: str) -> Change:
    def change(desired: Desired, name: str) -> Desired:
        tier = desired.tiers[1]
        slot = tier.slots[0].model_copy(update={field: text.format(name)})
        changed = tier.model_copy(update={"slots": (slot, *tier.slots[1:])})
        return desired.model_copy(update={"tiers": (desired.tiers[0], changed, *desired.tiers[2:])})

    return change


def _application(field: str, wrap: Callable[[str], object]) -> Change:
    def change(desired: Desired, name: str) -> Desired:
        route = a_route(chain="fast").model_copy(update={field: (wrap(name),)})
        return desired.model_copy(update={"applications": (route,)})

    return change


def _client_cidr(desired: Desired, name: str) -> Desired:
    vpn = a_vpn(peers=None).model_copy(update={"client_cidr": _Prefix(name)})
    return desired.model_copy(update={"vpns": (vpn,)})


def _tier(desired: Desired, name: str) -> Desired:
    tiers = (desired.tiers[0].model_copy(update={"id": name}), *desired.tiers[1:])
    chains = tuple(c.model_copy(update={"tiers": (name, *c.tiers[1:])}) for c in desired.chains)
    pairs = tuple(a.model_copy(update={"upstream": name}) if a.upstream == "edge" else a for a in desired.adjacencies)
    return desired.model_copy(update={"tiers": tiers, "chains": chains, "adjacencies": pairs})


def _vpn(desired: Desired, name: str) -> Desired:
    parts = {
        part: tuple(item.model_copy(update={"vpn": name}) for item in getattr(desired, part))
        for part in ("tiers", "chains", "applications")
    }
    return desired.model_copy(update={"vpns": (a_vpn(peers=None).model_copy(update={"id": name}),), **parts})


class _Prefix(str):
    """Text that behaves as far as a network as the code that reads it asks for."""

    prefixlen = 24

    def overlaps(self, _other: object) -> bool:
        return False


PLACES: dict[str, Change] = {
    "slot": _slot("id", "mid/us-east-1a/{}"),
    "zone": _slot("zone", "{}"),
    "stack": lambda desired, name: desired.model_copy(update={"stack": name}),
    "port": _application("ports", str),
    "destination": _application("destinations", _Prefix),
    "client_cidr": _client_cidr,
    "tier": _tier,
    "vpn": _vpn,
}
GOOD = {
    "slot": "7",
    "zone": "us-east-1c",
    "port": "tcp/443",
    "destination": "203.0.113.0/24",
    "client_cidr": "10.9.0.0/16",
}


@pytest.mark.parametrize("place", PLACES)
def test_the_unchanged_state_renders(place: str) -> None:
    assert render(_renamed(three_tiers(), place, GOOD.get(place, "other"))).nodes


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_hostile_text_is_refused_wherever_it_stands(place: str, name: str) -> None:
    try:
        hostile = _renamed(three_tiers(), place, name)
    except ValidationError:
        return  # The seam type itself refuses it.
    with pytest.raises(RenderError):
        render(hostile)


@pytest.mark.parametrize("key", ["A" * 43 + "=\n", "A" * 44, "A" * 42 + "B=", "A" * 41 + "`A=", "", "é" * 43 + "="])
def test_hostile_keys_and_client_names_are_refused(key: str) -> None:
    table = peers_of(a_peer().model_copy(update={"public_key": key}))
    with pytest.raises(RenderError, match="public_key"):
        render(naming(three_tiers(), table), table)
    table = peers_of(a_peer().model_copy(update={"id": f"laptop{key}\n"}))
    with pytest.raises(RenderError):
        render(naming(three_tiers(), table), table)


TEXT_TYPES = (
    fields.Label, fields.Place, fields.Word, fields.Interface, fields.Wildcard, fields.Symbol, fields.Token,
    fields.ObjectKey, fields.Service, fields.Prefixes, fields.Path,
)  # fmt: skip
DANGEROUS = set("\n\r\t;\"'`\\$%|<>()=!?\x00") | {"{{", "}}", "{%"}


@pytest.mark.parametrize("kind", TEXT_TYPES)
@given(st.data())
def test_no_template_type_accepts_text_that_could_end_a_statement(kind: Any, data: st.DataObject) -> None:
    adapter = TypeAdapter(kind)
    alphabet = st.sampled_from([*"abz019-_/.@:*#{}, ", *DANGEROUS, "é", "\u0661", "\u2028", "tcp dport { 1 }", "edge"])
    text = "".join(data.draw(st.lists(alphabet, max_size=12)))
    try:
        value = adapter.validate_python(text)
    except ValidationError:
        return
    assert value.isascii()
    assert not any(part in value for part in DANGEROUS)


@given(st.text(max_size=30))
def test_a_slot_of_any_text_is_either_refused_or_plain(text: str) -> None:
    try:
        rendered = render(_renamed(three_tiers(), "slot", text))
    except RenderError:
        return
    assert text.isascii()
    assert text.isdigit()
    assert all(json.loads(n.base.text)["version"] == 1 for n in rendered.nodes)


def test_templates_only_include_iterate_and_interpolate() -> None:
    allowed = (
        nodes.Template,
        nodes.Output,
        nodes.TemplateData,
        nodes.Name,
        nodes.Getattr,
        nodes.For,
        nodes.Include,
        nodes.Const,
    )
    environment = Environment(autoescape=False)  # noqa: S701 - only parsed
    found = sorted((TEMPLATES / "node").rglob("*.j2"))
    assert len(found) >= 15
    for path in found:
        tree = environment.parse(path.read_text())
        for node in [tree, *tree.find_all(nodes.Node)]:
            assert isinstance(node, allowed), f"{path.name}:{node.lineno}: {type(node).__name__}"


def test_an_unknown_name_in_a_template_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.j2").write_text("{{ missing }}")
    with pytest.raises(RenderError, match=r"a\.j2: UndefinedError: 'missing' is undefined"):
        open_templates(tmp_path).text("a.j2")


def test_a_changed_template_is_read_again(tmp_path: Path) -> None:
    (tmp_path / "a.j2").write_text("one")
    assert open_templates(tmp_path).text("a.j2") == "one"
    (tmp_path / "a.j2").write_text("second")
    assert open_templates(tmp_path).text("a.j2") == "second"


def test_missing_templates_are_named(tmp_path: Path) -> None:
    with pytest.raises(RenderError, match="is no directory; pass the directory that holds node/"):
        open_templates(tmp_path / "none")
