"""Writes the bare program: the resources of a deployed stack as direct calls of pulumi-aws, one statement each.

It is what an engineer would write who knows every value: plain constructors in an order that needs no forward
reference, the other resource's output wherever a value comes from one, the same explicit dependencies and the same
stack outputs; no component, plan, gate or template. Read from the state that `pulumi stack export` gives.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

State = Mapping[str, Any]
"""An exported state, or a resource in it."""

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
    "versionId",
)
"""Outputs that other resources refer to; of equal ones the first is taken."""
FREE_KEYS = frozenset({"tags", "dimensions"})
"""Properties whose keys are the user's own words, not the SDK's."""
STACK = "pulumi:pulumi:Stack"
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


def resources(exported: State) -> list[State]:
    """Return the AWS resources of an exported state, in the order of the state: dependencies come first."""
    return [r for r in _all(exported) if _AWS.fullmatch(r["type"])]


def statements(exported: State) -> list[str]:
    """Return one Python statement for each AWS resource of an exported state and for each output of its stack.

    Two stacks that declare the same give the same statements, whatever names and ids the cloud made up for each.
    Raises UnknownReferenceError when a property's dependency cannot be found in its value.
    """
    known: dict[str, _Resource] = {}
    taken: dict[str, str] = {}
    lines = []
    for state in resources(exported):
        resource = _resource(state)
        other = taken.setdefault(resource.variable, state["urn"])
        if other != state["urn"]:
            raise ValueError(f"{state['urn']} and {other} would have the same variable, {resource.variable}")
        lines.append(_statement(resource, known))
        known[state["urn"]] = resource
    return lines + [line for state in _all(exported) if state["type"] == STACK for line in _exports(state, known)]


def program(exported: State) -> str:
    """Return the source of a Python module that declares what an exported state has."""
    modules = sorted({_resource(state).module for state in resources(exported)})
    return "\n".join(["import pulumi", f"from pulumi_aws import {', '.join(modules)}", "", *statements(exported), ""])


def _all(exported: State) -> list[State]:
    found: list[State] = exported["deployment"].get("resources") or []
    return found


def _exports(stack: State, known: Mapping[str, _Resource]) -> list[str]:
    """An output that is a resource's is a reference to it; everything else is a literal."""
    values: dict[str, str] = {}
    for resource in known.values():
        given = {json.dumps(value) for value in _given(resource.state).values()}
        values |= {text: name for text, name in resource.values.items() if json.dumps(text) not in given}
    writer = _Writer(values, whole=True)
    outputs = sorted(stack.get("outputs", {}).items())
    return [f"pulumi.export({name!r}, {writer.write(value, free=True)})" for name, value in outputs]


def _given(state: State) -> dict[str, Any]:
    """The inputs that the program gave, without the names that the provider made up."""
    made_up = {"__defaults", *state["inputs"].get("__defaults", ())}
    return {name: value for name, value in state["inputs"].items() if name not in made_up}


def _resource(state: State) -> _Resource:
    match = _AWS.fullmatch(state["type"])
    if match is None:
        raise ValueError(f"{state['urn']}: {state['type']} is not a resource of AWS")
    name = state["urn"].rpartition("::")[2]
    module, kind = match.groups()
    variable = f"{snake_case(kind)}__{re.sub(r'[^A-Za-z0-9]', '_', name.replace('/', '__'))}"
    return _Resource(variable, module, kind, name, state)


def _statement(resource: _Resource, known: Mapping[str, _Resource]) -> str:
    sources: Mapping[str, list[str]] = resource.state.get("propertyDependencies", {})
    arguments = [repr(resource.name)]
    for name, value in sorted(_given(resource.state).items()):
        origins = [known[urn] for urn in sorted(sources.get(name, ())) if urn in known]
        writer = _Writer({text: expression for origin in origins for text, expression in origin.values.items()})
        arguments.append(f"{snake_case(name)}={writer.write(value, free=name in FREE_KEYS)}")
        if missing := {origin.variable for origin in origins} - writer.used:
            raise UnknownReferenceError(f"{resource.state['urn']}: {name}: no output of {', '.join(missing)} is in it")
    arguments += _options(resource.state, {urn for urns in sources.values() for urn in urns}, known)
    return f"{resource.variable} = {resource.module}.{resource.kind}({', '.join(arguments)})"


def _options(state: State, through_values: set[str], known: Mapping[str, _Resource]) -> list[str]:
    first = sorted(known[urn].variable for urn in state.get("dependencies", ()) if urn not in through_values)
    options = [f"depends_on=[{', '.join(first)}]"] if first else []
    if state.get("ignoreChanges"):
        options.append(f"ignore_changes={list(state['ignoreChanges'])!r}")
    return [f"opts=pulumi.ResourceOptions({', '.join(options)})"] if options else []


class _Writer:
    """Writes values as Python expressions, with references where a text has one of `values` in it."""

    def __init__(self, values: Mapping[str, str], *, whole: bool = False) -> None:
        """`values` has an expression for each value; with `whole`, only a whole text is replaced."""
        self._values = values
        self._whole = whole
        # The longest first: an ARN has the name within it.
        texts = sorted(values, key=lambda text: (-len(text), text))
        self._pattern = re.compile("|".join(map(re.escape, texts)) if texts and not whole else r"(?!)")
        self.used: set[str] = set()
        """Variables that were referred to."""

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

    def _text(self, text: str) -> str:
        if text in self._values:
            return self._use(text)
        found = list(dict.fromkeys(self._pattern.findall(text)))
        if not found:
            return repr(text)
        places = {value: f"v[{place}]" for place, value in enumerate(found)}
        pieces = re.split(f"({self._pattern.pattern})", text)
        joined = ", ".join(places.get(piece, repr(piece)) for piece in pieces if piece)
        return f"pulumi.Output.all({', '.join(map(self._use, found))}).apply(lambda v: ''.join(({joined})))"

    def _use(self, value: str) -> str:
        expression = self._values[value]
        self.used.add(expression.partition(".")[0])
        return expression
