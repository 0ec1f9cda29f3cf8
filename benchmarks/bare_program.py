"""Writes the bare program: the resources of a deployed stack as direct calls of pulumi-aws, one statement each.

It is what an engineer would write who knows every value: plain constructors in an order that needs no forward
reference, the other resource's output wherever a value comes from one, the same explicit dependencies, and no
component, plan, gate, template or stack output. Read from the state that `pulumi stack export` gives.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

State = Mapping[str, Any]
"""A resource in an exported state."""

REFERENCES = (
    "id",
    "arn",
    "name",
    "bucket",
    "arnSuffix",
    "allocationId",
    "publicIp",
    "dnsName",
    "zoneId",
    "prefixListId",
)
"""Outputs that other resources refer to; of equal ones the first is taken."""
FREE_KEYS = frozenset({"tags", "dimensions"})
"""Properties whose keys are the user's own words, not the SDK's."""
_AWS = re.compile(r"aws:(\w+)/\w+:(\w+)")


class UnknownReferenceError(ValueError):
    """A property depends on a resource, but none of that resource's outputs is in it."""


@dataclass(frozen=True)
class _Resource:
    """One custom resource of the state."""

    variable: str
    module: str
    kind: str
    name: str
    state: State

    @property
    def values(self) -> dict[str, str]:
        """Python expressions of the outputs that another resource may use, by value."""
        outputs = {**self.state.get("outputs", {}), "id": self.state["id"]}
        found: dict[str, str] = {}
        for name in REFERENCES:
            value = outputs.get(name)
            if isinstance(value, str) and value:
                found.setdefault(value, f"{self.variable}.{snake_case(name)}")
        return found


def snake_case(name: str) -> str:
    """Return a property's name as the Python SDK spells it."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def resources(deployment: Mapping[str, Any]) -> list[State]:
    """Return the AWS resources of an exported state, in the order of the state: dependencies come first."""
    return [r for r in deployment["deployment"].get("resources", ()) if _AWS.fullmatch(r["type"])]


def statements(declared: Iterable[State]) -> list[str]:
    """Return one Python statement for each resource of `declared`.

    Two stacks that declare the same give the same statements, whatever names and ids the cloud made up for each.
    Raises UnknownReferenceError when a property's dependency cannot be found in its value.
    """
    known: dict[str, _Resource] = {}
    lines = []
    taken: dict[str, str] = {}
    for state in declared:
        resource = _resource(state)
        other = taken.setdefault(resource.variable, state["urn"])
        if other != state["urn"]:
            raise ValueError(f"{state['urn']} and {other} would have the same variable, {resource.variable}")
        lines.append(_statement(resource, known))
        known[state["urn"]] = resource
    return lines


def program(declared: Sequence[State]) -> str:
    """Return the source of a Python module that declares `declared`."""
    modules = sorted({_resource(state).module for state in declared})
    return "\n".join(["import pulumi", f"from pulumi_aws import {', '.join(modules)}", "", *statements(declared), ""])


def _resource(state: State) -> _Resource:
    match = _AWS.fullmatch(state["type"])
    if match is None:
        raise ValueError(f"{state['urn']}: {state['type']} is not a resource of AWS")
    name = state["urn"].rpartition("::")[2]
    module, kind = match.groups()
    variable = f"{snake_case(kind)}__{re.sub(r'[^A-Za-z0-9]', '_', name.replace('/', '__'))}"
    return _Resource(variable, module, kind, name, state)


def _statement(resource: _Resource, known: Mapping[str, _Resource]) -> str:
    inputs = {k: v for k, v in resource.state["inputs"].items() if k != "__defaults"}
    for made_up in resource.state["inputs"].get("__defaults", ()):
        inputs.pop(made_up, None)
    sources: Mapping[str, list[str]] = resource.state.get("propertyDependencies", {})
    arguments = [repr(resource.name)]
    for name, value in sorted(inputs.items()):
        urns = [urn for urn in sources.get(name, ()) if urn in known]
        writer = _Writer(known, urns)
        arguments.append(f"{snake_case(name)}={writer.write(value, free=name in FREE_KEYS)}")
        writer.check(f"{resource.state['urn']}: {name}")
    arguments += _options(resource.state, {urn for urns in sources.values() for urn in urns}, known)
    return f"{resource.variable} = {resource.module}.{resource.kind}({', '.join(arguments)})"


def _options(state: State, through_values: set[str], known: Mapping[str, _Resource]) -> list[str]:
    first = sorted(known[urn].variable for urn in state.get("dependencies", ()) if urn not in through_values)
    options = [f"depends_on=[{', '.join(first)}]"] if first else []
    if state.get("ignoreChanges"):
        options.append(f"ignore_changes={list(state['ignoreChanges'])!r}")
    return [f"opts=pulumi.ResourceOptions({', '.join(options)})"] if options else []


class _Writer:
    """Writes one property, with references to the resources that its value comes from."""

    def __init__(self, known: Mapping[str, _Resource], urns: Iterable[str]) -> None:
        self._values: dict[str, str] = {}
        self._unused: dict[str, str] = {}
        for urn in sorted(urns):
            source = known[urn]
            self._unused[source.variable] = urn
            self._values |= source.values
        # The longest first: an ARN has the name within it.
        texts = sorted(self._values, key=lambda text: (-len(text), text))
        self._pattern = re.compile("|".join(map(re.escape, texts)) if texts else r"(?!)")

    def write(self, value: object, *, free: bool = False) -> str:
        """Return `value` as a Python expression; keys of mappings are translated unless they are `free`."""
        if isinstance(value, Mapping):
            pairs = (
                f"{(key if free else snake_case(key))!r}: {self.write(item, free=free or key in FREE_KEYS)}"
                for key, item in sorted(value.items())
            )
            return "{" + ", ".join(pairs) + "}"
        if isinstance(value, list):
            return "[" + ", ".join(self.write(item, free=free) for item in value) + "]"
        return self._text(value) if isinstance(value, str) else repr(value)

    def check(self, where: str) -> None:
        """Raise UnknownReferenceError when a resource was not referred to."""
        if self._unused:
            missing = ", ".join(self._unused.values())
            raise UnknownReferenceError(f"{where} depends on {missing}, but none of its outputs is there")

    def _text(self, text: str) -> str:
        found = list(dict.fromkeys(self._pattern.findall(text)))
        if not found:
            return repr(text)
        expressions = [self._values[value] for value in found]
        for expression in expressions:
            self._unused.pop(expression.partition(".")[0], None)
        if found == [text]:
            return expressions[0]
        places = {value: f"v[{place}]" for place, value in enumerate(found)}
        pieces = re.split(f"({self._pattern.pattern})", text)
        joined = ", ".join(places.get(piece, repr(piece)) for piece in pieces if piece)
        return f"pulumi.Output.all({', '.join(expressions)}).apply(lambda v: ''.join(({joined})))"
