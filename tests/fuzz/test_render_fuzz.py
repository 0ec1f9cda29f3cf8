"""Ten thousand hostile values in every field that people, clients and plans fill: none reaches a file but as data."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest
from jinja2 import Environment
from pydantic import BaseModel, ValidationError

from ecm import intent, render
from ecm.intent import IntentError
from ecm.model.catalog import Catalog
from ecm.model.fields import Checked
from ecm.model.fleet import Fleet
from ecm.model.plan import Desired
from ecm.model.policy import Limits, Qos, Security
from ecm.render import RenderError
from ecm.render.host import units
from ecm.render.templates import open_templates
from ecm.render.topology import node_views, tier_views
from ecm.store.objects import StoreError
from tests.fuzz.hostile import STRUCTURE, Hostile, Place, leaks, leaves, markers, put
from tests.fuzz.project import SHARD, documents, rendered, rendered_from, texts, write
from tests.golden.stacks import ROOT, stack_desired

SEED = 20261125
VALUES = 10_000
Where = tuple[str, Place]


@pytest.fixture(scope="module")
def harmless(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the project renders as it is."""
    folder = tmp_path_factory.mktemp("harmless")
    write(folder, documents())
    return rendered(folder)


def _refused(folder: Path, files: dict[str, Any]) -> set[str]:
    """The markers of the values that loading names as wrong."""
    write(folder, files)
    try:
        intent.load(folder, "fuzz")
    except IntentError as error:
        return markers(str(error))
    return set()


def _attacked(hostile: Hostile, files: dict[str, Any]) -> tuple[dict[str, Any], dict[Where, str]]:
    """`files` with a hostile value in every field, and what stands where."""
    changed, placed = copy.deepcopy(files), {}
    for name, document in files.items():
        for place, original in leaves(document):
            placed[name, place] = hostile.value(original)
            put(changed[name], place, placed[name, place])
    return changed, placed


def _packed(survivors: dict[Where, list[str]]) -> list[dict[Where, str]]:
    """What survived, as few documents as hold it: free text holds several values side by side."""
    rounds: list[dict[Where, str]] = []
    for where, values in survivors.items():
        texts_, at = [""], 0
        for value in values:
            if len(texts_[-1]) + len(value) + 1 > 500:
                texts_.append("")
            texts_[-1] = f"{texts_[-1]} {value}"
        for at, text in enumerate(texts_):
            if at == len(rounds):
                rounds.append({})
            rounds[at][where] = text
    return rounds


@pytest.mark.slow
def test_no_hostile_value_in_fleet_or_policies_reaches_a_file_but_as_data(
    tmp_path: Path, harmless: dict[str, str]
) -> None:
    hostile, files = Hostile(SEED), documents()
    survivors: dict[Where, list[str]] = {}
    refused = 0
    while hostile.made < VALUES:
        changed, placed = _attacked(hostile, files)
        named = _refused(tmp_path, changed)
        for where, value in placed.items():
            if markers(value) & named:
                refused += 1
            elif place_is_read(where) and not plain(where).fullmatch(value):
                survivors.setdefault(where, []).append(value)
    assert refused > VALUES * 0.8
    kept = {place[-1] for _, place in survivors if "security_groups" not in place}
    assert kept <= FREE_TEXT, f"accepted as something other than free text: {sorted(map(str, kept - FREE_TEXT))}"
    for found in _packed(survivors):
        changed = copy.deepcopy(files)
        for (name, place), value in found.items():
            put(changed[name], place, value)
        write(tmp_path, changed)
        assert leaks(rendered(tmp_path), harmless) == []


def plain(where: Where) -> re.Pattern[str]:
    """What is no attack at a place."""
    return TAG if {"required_tags", "wildcard_resource_actions"} & set(where[1]) else PLAIN


def place_is_read(where: Where) -> bool:
    """Whether loading looks at a value: the stack's own budget takes the place of the general one."""
    return where != ("policies/limits.yaml", ("budget_usd_per_hour",))


PLAIN = re.compile(r"[a-z0-9]+(?:[.-]+[a-z0-9]+)*")
"""A name as people may well write it: hyphens within are no attack."""
TAG = re.compile(r"[A-Za-z0-9]+(?:[.:-]+[A-Za-z0-9]+)*")
"""A tag's key and an action of AWS may have capitals and colons, too."""
FREE_TEXT = {"note", "reason", "title", "proof", "source", "price_source", "capacity_source"}
"""Fields that hold any line of text: they explain, and nothing is rendered from them. An adopted security group's name
and description are such, too: what AWS holds."""


def test_the_fuzzed_files_fill_in_every_field_that_exists() -> None:
    files = documents()
    keys = {part for document in files.values() for place, _ in leaves(document) for part in place}
    missing: set[str] = set()
    for model in (Fleet, Qos, Security, Limits, Catalog):
        missing |= {
            f"{m.__name__}.{name}" for m in _models(model, set()) for name in m.model_fields if name not in keys
        }
    assert missing == set()


def _models(model: type[BaseModel], seen: set[type[BaseModel]]) -> set[type[BaseModel]]:
    """`model` and every model that its fields are made of."""
    seen.add(model)
    for field in model.model_fields.values():
        for part in _parts(field.annotation):
            if isinstance(part, type) and issubclass(part, BaseModel) and part not in seen:
                _models(part, seen)
    return seen


def _parts(annotation: Any) -> list[Any]:
    found = [annotation]
    for part in getattr(annotation, "__args__", ()):
        found += _parts(part)
    return found


def test_no_hostile_value_in_a_clients_shard_reaches_a_file_but_as_data(
    tmp_path: Path, harmless: dict[str, str]
) -> None:
    write(tmp_path, documents())
    wanted, hostile = intent.load(tmp_path, "fuzz"), Hostile(SEED + 1)
    refused = 0
    while hostile.made < VALUES // 10:
        for place, original in leaves(SHARD):
            changed = copy.deepcopy(SHARD)
            value = hostile.value(original)
            put(changed, place, value)
            try:
                made = rendered_from(wanted, json.dumps(changed).encode())
            except StoreError:
                refused += 1
                continue
            assert PLAIN.fullmatch(value), ascii(value)
            assert leaks(made, harmless) == []
    assert refused > hostile.made * 0.9


def test_no_hostile_value_in_a_plan_reaches_a_file_but_as_data() -> None:
    """A plan that was written by somebody else: the types of the model and those of the templates both stand guard."""
    desired = stack_desired("staging")
    plain, document = _texts(desired), json.loads(desired.model_dump_json())
    places, hostile = list(leaves(document)), Hostile(SEED + 2)
    refused = 0
    while hostile.made < VALUES // 2:
        changed, placed = copy.deepcopy(document), {}
        for place, original in places:
            placed[place] = hostile.value(original)
            put(changed, place, placed[place])
        with pytest.raises(ValidationError) as error:
            Desired.model_validate(changed)
        wrong = {tuple(e["loc"]) for e in error.value.errors(include_url=False)}
        refused += len([p for p in placed if p in wrong])
        changed = copy.deepcopy(document)
        for place in (p for p in placed if p not in wrong):
            put(changed, place, placed[place])
        try:
            made = _texts(Desired.model_validate(changed))
        except (RenderError, ValidationError):
            continue
        assert leaks(made, plain) == []
    assert refused > hostile.made * 0.9


def _texts(desired: Desired) -> dict[str, str]:
    return texts(render.configs(desired, (), templates=ROOT / "templates"))


def test_a_template_that_takes_unchecked_text_is_caught(tmp_path: Path, harmless: dict[str, str]) -> None:
    """The proof that these tests can fail: one file that interpolates what people write beside a number."""
    hostile, files = Hostile(SEED + 3), documents()
    careless = Environment(autoescape=False).from_string("# price from {{ source }}\n")  # noqa: S701 - unsafe on purpose
    where = next(iter(harmless))
    before = harmless | {where: careless.render(source="a price list")}
    tried = 0
    while tried < 40:
        value = hostile.value("a price list")
        if not value.isascii() or not set(value) & set(STRUCTURE) or any(ord(c) < 32 for c in value):
            continue
        files["policies/catalog.yaml"]["shapes"][0]["price_source"] = value
        if len(value) > 500:
            continue
        write(tmp_path, files)
        source = intent.load(tmp_path, "fuzz").catalog.shapes[0].price_source
        assert leaks(harmless | {where: careless.render(source=source)}, before), ascii(value)
        tried += 1


def test_a_context_that_is_no_longer_checked_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the closed types of one context opened, a hostile plan does reach a file, and the check sees it."""
    desired = stack_desired("dev")
    slot = desired.tiers[0].slots[0]
    hostile = slot.model_copy(update={"id": f'{slot.id}zq000001z"; flush ruleset\nPostUp = sh'})
    tier = desired.tiers[0].model_copy(update={"slots": (hostile, *desired.tiers[0].slots[1:])})
    attacked = desired.model_copy(update={"tiers": (tier, *desired.tiers[1:])})
    with pytest.raises(RenderError):
        _texts(attacked)
    monkeypatch.setattr("ecm.render.host.Units", _OpenUnits)
    node = next(view for tier in tier_views(attacked) for view in node_views(tier))
    unit = "systemd/ecm-firewall.service.j2"
    compiled = open_templates(ROOT / "templates" / "node")
    plain = compiled.text(unit, units(next(v for t in tier_views(desired) for v in node_views(t))))
    assert leaks({unit: compiled.text(unit, units(node))}, {unit: plain})


class _OpenUnits(Checked):
    """`Units` whose slot takes any text."""

    slot: str
    generation: int
