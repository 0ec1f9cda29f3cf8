"""What a resource type accepts: properties with kinds, choices and replace marks; checking and comparing inputs.

Test double, not the AWS provider.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

from tools.standin.wire import UNKNOWN, Value, has_unknown, is_asset

Inputs = dict[str, Any]


class Shape(Enum):
    """The shape of a property's value."""

    TEXT = "a string"
    NUMBER = "a number"
    WHOLE = "a whole number"
    FLAG = "true or false"
    JSON = "a JSON document as a string"
    LIST = "a list of strings"
    SET = "a set of strings"
    MAP = "a map of strings"
    BLOCK = "an object"
    BLOCKS = "a list of objects"
    ASSET = "an asset"


@dataclass(frozen=True)
class Prop:
    """One input property; `replace_on_change` copies what the real provider does with a change of it."""

    shape: Shape
    required: bool = False
    replace_on_change: bool = False
    choices: tuple[str, ...] = ()
    pattern: str | None = None
    low: float | None = None
    high: float | None = None
    fields: Mapping[str, Prop] = field(default_factory=dict)
    unordered: bool = False

    def need(self) -> Prop:
        """Return this property as a required one."""
        return replace(self, required=True)

    def fixed(self) -> Prop:
        """Return this property as one whose change replaces the resource."""
        return replace(self, replace_on_change=True)


def text(*choices: str, pattern: str | None = None) -> Prop:
    """Return a string property, of `choices` if given, matching `pattern` if given."""
    return Prop(Shape.TEXT, choices=choices, pattern=pattern)


def whole(low: float | None = None, high: float | None = None) -> Prop:
    """Return a whole number property between `low` and `high`."""
    return Prop(Shape.WHOLE, low=low, high=high)


def block(**fields: Prop) -> Prop:
    """Return a nested object."""
    return Prop(Shape.BLOCK, fields=fields)


def blocks(*, unordered: bool = False, **fields: Prop) -> Prop:
    """Return a list of nested objects; `unordered` where AWS keeps a set."""
    return Prop(Shape.BLOCKS, fields=fields, unordered=unordered)


NUMBER = Prop(Shape.NUMBER)
FLAG = Prop(Shape.FLAG)
JSON = Prop(Shape.JSON)
LIST = Prop(Shape.LIST)
SET = Prop(Shape.SET, unordered=True)
MAP = Prop(Shape.MAP)
ASSET = Prop(Shape.ASSET)
TAGS = replace(MAP)

CIDR4 = r"(\d{1,3}\.){3}\d{1,3}/\d{1,2}"
IPV4 = r"(\d{1,3}\.){3}\d{1,3}"


def aws_id(prefix: str) -> Prop:
    """Return a property that holds an EC2 identifier such as `vpc-0a1b2c3d`."""
    return text(pattern=rf"{prefix}-[0-9a-f]{{8,17}}")


def failures(fields: Mapping[str, Prop], values: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    """Yield (property path, reason) for everything in `values` that `fields` does not accept."""
    for name, value in values.items():
        where = f"{path}.{name}" if path else name
        prop = fields.get(name)
        if prop is None:
            yield where, f"unknown property {where!r}; the stand-in knows {', '.join(sorted(fields))}"
        elif value is not None and value is not UNKNOWN:
            yield from _wrong(prop, value, where)
    for name, prop in fields.items():
        if prop.required and values.get(name) is None:
            yield path or name, f"required property {name!r} is missing"


def _wrong(prop: Prop, value: Value, where: str) -> Iterator[tuple[str, str]]:
    if not _fits(prop.shape, value):
        yield where, f"{where} must be {prop.shape.value}, not {value!r}"
    elif prop.shape is Shape.BLOCK:
        yield from failures(prop.fields, value, where)
    elif prop.shape is Shape.BLOCKS:
        for number, item in enumerate(value):
            if item is not UNKNOWN:
                yield from failures(prop.fields, item, f"{where}[{number}]")
    else:
        yield from _bad_value(prop, value, where)


def _fits(shape: Shape, value: Value) -> bool:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    strings = (Shape.LIST, Shape.SET)
    if shape in strings or shape is Shape.BLOCKS:
        kind = str if shape in strings else dict
        return isinstance(value, list) and all(item is UNKNOWN or isinstance(item, kind) for item in value)
    if shape is Shape.MAP:
        return isinstance(value, dict) and all(item is UNKNOWN or isinstance(item, str) for item in value.values())
    if shape is Shape.JSON:
        return _is_json(value)
    simple: dict[Shape, bool] = {
        Shape.TEXT: isinstance(value, str),
        Shape.NUMBER: number,
        Shape.WHOLE: number and float(value).is_integer() if number else False,
        Shape.FLAG: isinstance(value, bool),
        Shape.BLOCK: isinstance(value, dict),
        Shape.ASSET: is_asset(value),
    }
    return simple[shape]


def _is_json(value: Value) -> bool:
    try:
        json.loads(value)
    except (TypeError, ValueError):
        return False
    return True


def _bad_value(prop: Prop, value: Value, where: str) -> Iterator[tuple[str, str]]:
    if prop.choices and value not in prop.choices:
        yield where, f"{where}: {value!r} is not one of {', '.join(prop.choices)}"
    if prop.pattern and not re.fullmatch(prop.pattern, value):
        yield where, f"{where}: {value!r} does not have the form {prop.pattern}"
    if prop.low is not None and value < prop.low:
        yield where, f"{where}: {value} is below {prop.low}"
    if prop.high is not None and value > prop.high:
        yield where, f"{where}: {value} is above {prop.high}"


@dataclass(frozen=True)
class Difference:
    """One property that differs: its path, `ADD`, `DELETE` or `UPDATE`, and whether it forces a replacement."""

    path: str
    change: str
    replaces: bool


def differences(fields: Mapping[str, Prop], old: Inputs, new: Inputs) -> list[Difference]:
    """Return how `new` inputs differ from `old` ones, in property order; unknown values count as changes."""
    found: list[Difference] = []
    for name in sorted(fields):
        prop = fields[name]
        found += _compare(prop, old.get(name), new.get(name), name, prop.replace_on_change)
    return found


def same(prop: Prop, old: Value, new: Value) -> bool:
    """Return whether two values of one property mean the same to AWS."""
    return not _compare(prop, old, new, "", prop.replace_on_change)


def _compare(prop: Prop, old: Value, new: Value, path: str, replaces: bool) -> list[Difference]:
    if old == new or (_is_empty(prop, old) and _is_empty(prop, new)):
        return []
    if old is None or new is None or new is UNKNOWN:
        return [Difference(path, "ADD" if old is None else "DELETE" if new is None else "UPDATE", replaces)]
    if prop.shape is Shape.MAP:
        keys = sorted({*old, *new})
        return [d for key in keys for d in _entry(old.get(key), new.get(key), f'{path}["{key}"]', replaces)]
    if prop.shape is Shape.BLOCK:
        return _compare_fields(prop, old, new, path, replaces)
    if prop.shape is Shape.BLOCKS:
        return _compare_blocks(prop, old, new, path)
    return [] if _means_the_same(prop, old, new) else [Difference(path, "UPDATE", replaces)]


def _compare_fields(prop: Prop, old: Value, new: Value, path: str, replaces: bool) -> list[Difference]:
    return [
        difference
        for name, inner in prop.fields.items()
        for difference in _compare(
            inner, old.get(name), new.get(name), f"{path}.{name}", replaces or inner.replace_on_change
        )
    ]


def _means_the_same(prop: Prop, old: Value, new: Value) -> bool:
    if has_unknown([old, new]):
        return False
    if prop.shape is Shape.JSON:
        return bool(json.loads(old) == json.loads(new))
    return prop.unordered and sorted(old) == sorted(new)


def _is_empty(prop: Prop, value: Value) -> bool:
    """Unset, or an empty collection: the provider makes no difference between them."""
    return value is None or (value in ([], {}) and prop.shape in (Shape.LIST, Shape.SET, Shape.MAP, Shape.BLOCKS))


def _entry(old: Value, new: Value, path: str, replaces: bool) -> list[Difference]:
    if old == new:
        return []
    change = "ADD" if old is None else "DELETE" if new is None else "UPDATE"
    return [Difference(path, change, replaces)]


def _compare_blocks(prop: Prop, old: list[Any], new: list[Any], path: str) -> list[Difference]:
    replaces = prop.replace_on_change
    if prop.unordered and not has_unknown(new):
        old, new = sorted(old, key=repr), sorted(new, key=repr)
        old, new = [o for o in old if o not in new], [n for n in new if n not in old]
    found: list[Difference] = []
    inner = Prop(Shape.BLOCK, fields=prop.fields)
    for number in range(max(len(old), len(new))):
        before = old[number] if number < len(old) else None
        after = new[number] if number < len(new) else None
        found += _compare(inner, before, after, f"{path}[{number}]", replaces)
    return found


def project(fields: Mapping[str, Prop], observed: Mapping[str, Any], inputs: Inputs) -> Inputs:
    """Return `inputs` as AWS has them now: only properties that were given, in the given order where order is free.

    What AWS does not tell keeps its given value, so that a refresh reports real drift and nothing else.
    """
    result: Inputs = {}
    for name, given in inputs.items():
        prop = fields.get(name)
        if prop is None or name not in observed:
            result[name] = given
        elif prop.shape is Shape.BLOCK and isinstance(given, dict) and isinstance(observed[name], dict):
            result[name] = project(prop.fields, observed[name], given)
        elif prop.shape is Shape.BLOCKS and isinstance(given, list) and len(given) == len(observed[name] or []):
            result[name] = _project_blocks(prop, observed[name], given)
        else:
            result[name] = given if same(prop, given, observed[name]) else observed[name]
    return result


def _project_blocks(prop: Prop, observed: list[Any], given: list[Any]) -> list[Any]:
    """Each given block beside the observed one that it is; where the order is free, that may stand anywhere."""
    if not prop.unordered:
        return [project(prop.fields, o, g) for o, g in zip(observed, given, strict=True)]
    left = list(observed)
    result: list[Any] = []
    for block_ in given:
        match = next((o for o in left if project(prop.fields, o, block_) == block_), None)
        if match is None:
            return observed
        left.remove(match)
        result.append(block_)
    return result
