"""The exported JSON Schemas: current, valid, and in agreement with what `load` accepts."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from ecm.intent import schemas, write_schemas
from ecm.intent.documents import read_mapping
from ecm.intent.schemas import FOLDER, schema_texts

ROOT = Path(__file__).resolve().parents[2]
FILES = [
    *(("fleet", f"stacks/{stack}.fleet.yaml") for stack in ("dev", "staging", "prod")),
    *((name, f"policies/{name}.yaml") for name in ("qos", "security", "limits", "catalog")),
]


def check(name: str, data: Any) -> None:
    jsonschema.Draft202012Validator(schemas()[name]).validate(data)


@pytest.mark.parametrize("name", sorted(schemas()))
def test_each_is_a_valid_schema(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(schemas()[name])


def test_the_committed_schemas_are_current() -> None:
    committed = {p.name: p.read_text(encoding="utf-8") for p in (ROOT / FOLDER).glob("*.json")}
    assert committed == schema_texts(), "run `ecm schema`"


@pytest.mark.parametrize(("name", "file"), FILES)
def test_examples_are_valid_and_name_their_schema(name: str, file: str) -> None:
    check(name, read_mapping(ROOT, file))
    first = (ROOT / file).read_text(encoding="utf-8").splitlines()[0]
    assert first.startswith("# yaml-language-server: $schema=")
    named = (ROOT / file).parent / first.partition("$schema=")[2]
    assert named.resolve() == (ROOT / FOLDER / f"{name}.schema.json").resolve()


def test_prices_are_numbers_of_usd() -> None:
    shape = schemas()["catalog"]["$defs"]["Shape"]["properties"]
    assert shape["usd_per_hour"]["type"] == "number"
    catalog = read_mapping(ROOT, "policies/catalog.yaml")
    catalog["shapes"][0]["usd_per_hour"] = 0.0721
    check("catalog", catalog)
    for wrong in ("cheap", -1, None):
        catalog["shapes"][0]["usd_per_hour"] = wrong
        with pytest.raises(jsonschema.ValidationError):
            check("catalog", catalog)


def test_unknown_and_missing_keys_are_refused() -> None:
    fleet = read_mapping(ROOT, "stacks/dev.fleet.yaml")
    extra = copy.deepcopy(fleet)
    extra["applications"][0]["prots"] = []
    short = copy.deepcopy(fleet)
    del short["applications"][0]["profile"]
    for bad in (extra, short):
        with pytest.raises(jsonschema.ValidationError):
            check("fleet", bad)


def test_an_override_may_be_partial_but_not_misspelt() -> None:
    limits = read_mapping(ROOT, "policies/limits.yaml")
    limits["stacks"] = {"dev": {"lead": {"up_min": 9}, "hold_min": 200}}
    check("limits", limits)
    for own in ({"lead": {"up": 9}}, {"holdmin": 200}, {"hold_min": "200"}, {"freeze": [{"reason": "no times"}]}):
        limits["stacks"] = {"dev": own}
        with pytest.raises(jsonschema.ValidationError):
            check("limits", limits)


def test_writing_is_idempotent(tmp_path: Path) -> None:
    assert len(write_schemas(tmp_path)) == 8
    assert write_schemas(tmp_path) == ()
    for path in (tmp_path / FOLDER).iterdir():
        assert json.loads(path.read_text(encoding="utf-8"))["$schema"].startswith("https://json-schema.org/")


def test_fields_carry_their_description() -> None:
    profile = schemas()["qos"]["$defs"]["QosProfile"]["properties"]
    assert "p95" in profile["latency_ms"]["description"]
