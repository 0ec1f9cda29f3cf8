"""Pydantic's errors in the words of the people who wrote the file."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from ecm.intent.problems import Problem, show
from ecm.intent.quantities import convert

Loc = tuple[int | str, ...]
_IDENTITY: Final = ("id", "name", "level", "fact", "region")
"""Keys that name an entry of a list, in this order."""
_NAME_RULE: Final = "use lower case letters, digits and single hyphens, a letter first, 24 characters at most"


def problems_of(error: ValidationError, file: str, data: Any, model: type[BaseModel]) -> list[Problem]:  # noqa: ANN401
    """Return every problem of `error`, found when `data` (from `file`) was read as `model`.

    An unknown key that stands for a missing field is one problem, not two.
    """
    errors = error.errors(include_url=False)
    missing = {e["loc"] for e in errors if e["type"] == "missing"}
    explained: set[Loc] = set()
    found: list[Problem] = []
    for item in errors:
        if item["type"] == "extra_forbidden":
            problem, meant = _unknown_key(item, file, data, model)
            found.append(problem)
            explained.add(meant)
    for item in errors:
        if item["type"] == "extra_forbidden" or (item["loc"] in explained and item["loc"] in missing):
            continue
        found.append(_problem(item, file, data, model))
    return found


def path_of(data: Any, loc: Loc) -> str:  # noqa: ANN401 - any YAML value
    """Return `loc` as people write it: an entry of a list by what names it, else by its position from 1."""
    parts: list[str] = []
    here = data
    for step in loc:
        if isinstance(step, int):
            here = here[step] if isinstance(here, Sequence) and not isinstance(here, str) and step < len(here) else None
            parts.append(_entry_name(here, step))
        else:
            here = here.get(step) if isinstance(here, Mapping) else None
            parts.append(_shown_key(step))
    return ".".join(parts)


def _entry_name(entry: object, position: int) -> str:
    if isinstance(entry, Mapping):
        for key in _IDENTITY:
            value = entry.get(key)
            if isinstance(value, (str, int)) and value != "":
                return _shown_key(str(value))
    return f"[{position + 1}]"


def _shown_key(key: str) -> str:
    return key if re.fullmatch(r"[\w./-]{1,60}", key, re.ASCII) else show(key)


def _model_at(model: type[BaseModel], loc: Loc) -> type[BaseModel] | None:
    """Return the model that the mapping at `loc` is read as."""
    here: Any = model
    for step in loc:
        if isinstance(step, int):
            continue
        if not (isinstance(here, type) and issubclass(here, BaseModel) and step in here.model_fields):
            return None
        here = _inner_model(here.model_fields[step].annotation)
    return here if isinstance(here, type) and issubclass(here, BaseModel) else None


def _inner_model(annotation: Any) -> Any:  # noqa: ANN401 - any annotation
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((m for arg in get_args(annotation) if (m := _inner_model(arg)) is not None), None)


def _unknown_key(item: ErrorDetails, file: str, data: Any, model: type[BaseModel]) -> tuple[Problem, Loc]:  # noqa: ANN401
    *parent, key = item["loc"]
    owner = _model_at(model, tuple(parent))
    known = sorted(owner.model_fields) if owner else []
    meant = _closest(str(key), known)
    if meant is None:
        remedy = f"remove it; the fields here are: {', '.join(known)}"
    elif (number := convert(item["input"], meant)) is not None:
        remedy = f"write {meant}: {number}"
    else:
        remedy = f"did you mean {meant}?"
    problem = Problem(file, path_of(data, item["loc"]), show(item["input"]), "this key is not known", remedy)
    return problem, (*parent, meant or "")


def _closest(key: str, known: list[str]) -> str | None:
    plain = key.lower().replace("-", "_")
    longer = [name for name in known if name == plain or name.startswith(plain + "_")]
    return longer[0] if longer else next(iter(difflib.get_close_matches(plain, known, n=1, cutoff=0.6)), None)


def _problem(item: ErrorDetails, file: str, data: Any, model: type[BaseModel]) -> Problem:  # noqa: ANN401
    loc = item["loc"]
    if item["type"] == "value_error" and (own := _own_message(item, file, data, model)):
        return own
    what = item["msg"].removeprefix("Value error, ").rstrip(".")
    value = "" if item["type"] == "missing" or isinstance(item["input"], (dict, list)) else show(item["input"])
    if item["type"] == "missing":
        what = "this field is missing"
    if item["type"] == "string_pattern_mismatch":
        what = "not of the form that is asked for here"
    what, split, remedy = what.partition("; ") if item["type"] == "value_error" else (what, "", "")
    return Problem(file, path_of(data, loc), value, _lower(what), remedy if split else _remedy(item))


def _own_message(item: ErrorDetails, file: str, data: Any, model: type[BaseModel]) -> Problem | None:  # noqa: ANN401
    """Take apart a message of the model's own checks: `path: what is wrong; how to mend it`, below `loc`."""
    message = item["msg"].removeprefix("Value error, ")
    first, _, rest = message.partition(" ")
    path = first.rstrip(":")
    owner = _model_at(model, item["loc"])
    if owner is None or path.split(".")[0] not in owner.model_fields or not rest:
        return None
    what, split, remedy = rest.partition("; ")
    base = path_of(data, item["loc"])
    full = f"{base}.{path}" if base else path
    remedy = f"use one of those: {remedy}" if remedy.startswith("known: ") else remedy
    return Problem(file, full, "", what, remedy if split else f"change {full}")


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:] if text[1:2].islower() else text


def _number(item: ErrorDetails) -> str:
    field = str(item["loc"][-1]) if item["loc"] else ""
    number = convert(item["input"], field)
    if number is not None:
        return f"write {field}: {number}"
    return "write a whole number, without a unit: the unit is in the field's name"


def _bound(item: ErrorDetails) -> str:
    words = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
    bounds = [f"{words[k]} {v}" for k, v in item.get("ctx", {}).items() if k in words]
    return f"write a value {' and '.join(bounds)}" if bounds else "write a value within the bounds"


def _pattern(item: ErrorDetails) -> str:
    pattern = str(item.get("ctx", {}).get("pattern", ""))
    if pattern == "^[a-z](?:-?[a-z0-9]){0,23}$":
        return _NAME_RULE
    return f"write text that matches {pattern}"


_REMEDIES: Final[dict[str, Callable[[ErrorDetails], str]]] = {
    "missing": lambda i: f"add {i['loc'][-1]}",
    "int_parsing": _number,
    "int_type": _number,
    "int_from_float": _number,
    "float_parsing": _number,
    "float_type": _number,
    "greater_than": _bound,
    "greater_than_equal": _bound,
    "less_than": _bound,
    "less_than_equal": _bound,
    "string_pattern_mismatch": _pattern,
    "string_type": lambda _: "write text; put it in quotes when it looks like a number",
    "string_too_long": lambda i: f"use {i.get('ctx', {}).get('max_length')} characters at most",
    "too_short": lambda _: "add at least one entry",
    "enum": lambda i: f"write one of: {str(i.get('ctx', {}).get('expected', '')).replace(' or ', ', ')}",
    "bool_parsing": lambda _: "write true or false",
    "bool_type": lambda _: "write true or false",
    "tuple_type": lambda _: "write a list: one entry per line, each with a leading hyphen",
    "model_type": lambda _: "write a mapping of fields",
    "timezone_aware": lambda _: "add the time zone, such as 2026-11-27T08:00:00Z or 2026-11-27T08:00:00+01:00",
    "datetime_parsing": lambda _: "write a time such as 2026-11-27T08:00:00Z",
    "datetime_from_date_parsing": lambda _: "write a time such as 2026-11-27T08:00:00Z",
    "date_from_datetime_parsing": lambda _: "write a day such as 2026-11-27",
    "date_parsing": lambda _: "write a day such as 2026-11-27",
    "ip_v4_network": lambda _: "write an IPv4 network such as 10.20.0.0/16, with no host bits set",
}


def _remedy(item: ErrorDetails) -> str:
    make = _REMEDIES.get(item["type"])
    return make(item) if make else "see this field in the JSON schema that the file's first line names"
