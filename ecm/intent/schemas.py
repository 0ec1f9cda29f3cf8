"""JSON Schemas of the files that people write, of the plan and of its review, for editors and for other programs."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel

from ecm import files
from ecm.model.catalog import Catalog
from ecm.model.collection import Collection
from ecm.model.fleet import Fleet
from ecm.model.plan import Plan
from ecm.model.policy import Limits, Qos, Security
from ecm.model.review import Review

FOLDER: Final = "policies/schemas"
_DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"
_MODELS: Final[dict[str, type[BaseModel]]] = {
    "fleet": Fleet,
    "qos": Qos,
    "security": Security,
    "limits": Limits,
    "catalog": Catalog,
    "plan": Plan,
    "review": Review,
    "telemetry": Collection,
}


def schemas() -> dict[str, dict[str, Any]]:
    """Return the JSON Schema (draft 2020-12) of each file by its name, such as fleet, limits, plan and review.

    They describe what people write: prices are numbers of USD, records are lists.
    """
    made = {name: model.model_json_schema(mode="validation") for name, model in _MODELS.items()}
    made["limits"] = _with_stacks(made["limits"])
    return {name: {"$schema": _DRAFT, **schema} for name, schema in made.items()}


def write_schemas(root: Path) -> tuple[Path, ...]:
    """Write each schema to `policies/schemas/<name>.schema.json` below `root`; return the files that changed."""
    folder = root / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    changed = []
    for name, text in schema_texts().items():
        path = folder / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            files.write(path, text)
            changed.append(path)
    return tuple(changed)


def schema_texts() -> dict[str, str]:
    """Return the text of each schema file by its file name."""
    return {f"{name}.schema.json": json.dumps(schema, indent=2) + "\n" for name, schema in schemas().items()}


def _with_stacks(limits: dict[str, Any]) -> dict[str, Any]:
    """Add `stacks: {<stack>: {fields that differ}}`, where no field is required."""
    full = copy.deepcopy(limits)
    definitions = full.setdefault("$defs", {})
    partial = {f"{name}Override": _optional(body) for name, body in definitions.items()}
    own = _optional({k: v for k, v in limits.items() if k != "$defs"})
    own["title"] = "LimitsOverride"
    definitions.update(partial)
    definitions["LimitsOverride"] = own
    full["properties"]["stacks"] = {
        "title": "Stacks",
        "description": "What differs in a stack, by its name.",
        "type": "object",
        "propertyNames": {"pattern": "^[a-z](?:-?[a-z0-9]){0,23}$"},
        "additionalProperties": {"$ref": "#/$defs/LimitsOverride"},
    }
    return full


def _optional(schema: dict[str, Any]) -> dict[str, Any]:
    """Return `schema` with nothing required; records in lists keep their rules, since a list replaces the whole."""
    changed: dict[str, Any] = copy.deepcopy(schema)
    changed.pop("required", None)
    for body in changed.get("properties", {}).values():
        if "$ref" in body:
            body["$ref"] += "Override"
        body.pop("default", None)
    return changed
