"""The table against the installed SDK: what the stand-in accepts, the real plugin accepts too."""

from __future__ import annotations

import inspect
import json
import sys
import typing
from importlib import import_module
from pathlib import Path
from typing import Any

import pulumi_aws
import pytest

from tools.standin.config import CONFIG, pulumi_aws_version
from tools.standin.functions import FUNCTIONS
from tools.standin.kind import Kind
from tools.standin.kinds import KINDS
from tools.standin.schema import Prop, Shape

# What the SDK's annotations say for each shape.
_ANNOTATED = {
    Shape.TEXT: str,
    Shape.JSON: str,
    Shape.WHOLE: int,
    Shape.NUMBER: float,
    Shape.FLAG: bool,
}


def _resource(kind: Kind) -> type:
    """The SDK's class of a type: `aws:ec2/vpc:Vpc` is `pulumi_aws.ec2.Vpc`."""
    _, module, name = kind.type_name.split(":")
    return getattr(import_module(f"pulumi_aws.{module.split('/')[0]}"), name)


def _arguments(cls: type) -> dict[str, inspect.Parameter]:
    """Python name -> parameter of what a program gives to a resource or to an argument class."""
    init = cls.__dict__.get("_internal_init", cls.__init__)
    parameters = inspect.signature(init).parameters
    return {n: p for n, p in parameters.items() if n not in ("self", "__self__", "resource_name", "opts", "__props__")}


def _wire_names(cls: type, arguments: dict[str, Any]) -> dict[str, str]:
    """Python name -> wire name, from the getters of a class or of its arguments' class."""
    names = {}
    for name in arguments:
        getter = inspect.getattr_static(cls, name, None)
        names[name] = getattr(getattr(getter, "fget", None), "_pulumi_name", name)
    return names


def _nested(annotation: Any, cls: type) -> type | None:
    """The argument class that an annotation names, if any."""
    text = str(annotation)
    module = sys.modules[cls.__module__.rsplit(".", 1)[0] if not cls.__module__.endswith("_inputs") else cls.__module__]
    names = [
        word
        for word in text.replace("'", " ")
        .replace("(", " ")
        .replace(")", " ")
        .replace("[", " ")
        .replace("]", " ")
        .replace(",", " ")
        .split()
        if word.endswith("Args")
    ]
    return getattr(module, names[0].rsplit(".", 1)[-1], None) if names else None


def _accepts(props: dict[str, Prop], cls: type, arguments: dict[str, inspect.Parameter], where: str) -> list[str]:
    """What `props` takes and the SDK's class does not."""
    wire = {wire_name: name for name, wire_name in _wire_names(cls, arguments).items()}
    wrong = [f"{where}.{name}: unknown to pulumi_aws" for name in props if name not in wire]
    for name, prop in props.items():
        if name not in wire:
            continue
        annotation = arguments[wire[name]].annotation
        if prop.fields:
            nested = _nested(annotation, cls)
            if nested is None:
                wrong.append(f"{where}.{name}: is no object in pulumi_aws ({annotation})")
            else:
                wrong += _accepts(dict(prop.fields), nested, _arguments(nested), f"{where}.{name}")
        expected = _ANNOTATED.get(prop.shape)
        if expected is not None and expected.__name__ not in str(annotation):
            wrong.append(f"{where}.{name}: {prop.shape.value} here, {annotation} in pulumi_aws")
        if prop.shape in (Shape.LIST, Shape.SET, Shape.BLOCKS) and "Sequence" not in str(annotation):
            wrong.append(f"{where}.{name}: a list here, {annotation} in pulumi_aws")
    return wrong


@pytest.mark.parametrize("type_name", sorted(KINDS))
def test_every_accepted_input_is_a_real_argument(type_name: str) -> None:
    kind = KINDS[type_name]
    cls = _resource(kind)
    assert cls.pulumi_type == type_name
    assert _accepts(dict(kind.accepts), cls, _arguments(cls), type_name) == []


@pytest.mark.parametrize("type_name", sorted(KINDS))
def test_every_output_is_a_real_output(type_name: str) -> None:
    kind = KINDS[type_name]
    cls = _resource(kind)
    real = {
        getattr(value.fget, "_pulumi_name", name) for name, value in vars(cls).items() if isinstance(value, property)
    }
    assert set(kind.outputs) - real == set()


@pytest.mark.parametrize("type_name", sorted(KINDS))
def test_regional_types_and_no_others_have_a_region(type_name: str) -> None:
    kind = KINDS[type_name]
    assert ("region" in _arguments(_resource(kind))) == kind.regional
    assert ("tags" in _arguments(_resource(kind))) == (kind.retag is not None)


@pytest.mark.parametrize("type_name", sorted(KINDS))
def test_what_the_plugin_requires_the_stand_in_requires(type_name: str) -> None:
    kind = KINDS[type_name]
    module, name = _resource(kind).__module__, f"{_resource(kind).__name__}Args"
    args = getattr(sys.modules[module], name, None)
    # Where a property has the name of its own type, the SDK's argument class is of another version of the resource.
    if args is None or not set(kind.inputs) <= set(_wire_names(args, _arguments(args)).values()):
        pytest.skip("the SDK has no argument class of this resource")
    wire = _wire_names(args, _arguments(args))
    required = {wire[n] for n, p in _arguments(args).items() if p.default is inspect.Parameter.empty}
    missing = {n for n in required if n in kind.inputs and not kind.inputs[n].required}
    assert missing == set()
    assert required <= set(kind.inputs), "a required argument that the stand-in does not take can never be given"


@pytest.mark.parametrize("token", sorted(FUNCTIONS))
def test_functions_take_real_arguments(token: str) -> None:
    _, module, name = token.split(":")
    package = module.split("/")[0]
    snake = "".join(f"_{c.lower()}" if c.isupper() else c for c in name)
    function = getattr(pulumi_aws if package == "index" else import_module(f"pulumi_aws.{package}"), snake)
    real = {
        "".join(w.title() if i else w for i, w in enumerate(p.split("_")))
        for p in inspect.signature(function).parameters
    }
    assert FUNCTIONS[token][0] <= real


def test_provider_configuration_is_real() -> None:
    getters = {
        getattr(v.fget, "_pulumi_name", n) for n, v in vars(pulumi_aws.ProviderArgs).items() if isinstance(v, property)
    }
    assert CONFIG - getters == {"version"}


def test_version_is_that_of_the_installed_sdk() -> None:
    plugin = json.loads((Path(pulumi_aws.__file__).parent / "pulumi-plugin.json").read_text())
    assert pulumi_aws_version() == plugin["version"]


def test_every_declared_type_of_the_program_is_served() -> None:
    """Whatever `ecm.infra` names from pulumi_aws is in the table."""
    used = set()
    for source in (Path(__file__).parents[2] / "ecm" / "infra").glob("*.py"):
        text = source.read_text()
        used |= {kind for kind in KINDS if f"{kind.split('/')[0].split(':')[1]}.{kind.rsplit(':', 1)[1]}(" in text}
    assert len(used) >= 30
    assert typing.get_type_hints(Kind)  # the table's own annotations resolve
