"""Check and Diff: names from the engine's seed, tags from the provider, and what a change of inputs means.

Test double, not the AWS provider.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from pulumi.runtime.proto import provider_pb2

from tools.standin.kind import Kind
from tools.standin.schema import Inputs, differences, failures
from tools.standin.wire import UNKNOWN, Value, decode

_DEFAULTS = "__defaults"
_Diff = provider_pb2.DiffResponse
_DIGITS = 7


def _autoname(kind: Kind, request: provider_pb2.CheckRequest, old: Inputs) -> str | None:
    """Return the name of an unnamed resource: what it had before, or one from the engine's seed."""
    rule = kind.autoname
    if rule is None:
        return None
    if rule.prop in (old.get(_DEFAULTS) or []) and old.get(rule.prop):
        return str(old[rule.prop])
    if request.HasField("autonaming") and request.autonaming.proposed_name:
        return str(request.autonaming.proposed_name)
    logical = request.name or request.urn.split("::")[3]
    seed = hashlib.sha256(request.randomSeed or request.urn.encode()).hexdigest()
    stem = logical[: rule.longest - _DIGITS - 1]
    name = f"{stem}-{seed[:_DIGITS]}"
    return name.lower() if rule.lower else name


def checked(
    kind: Kind, request: provider_pb2.CheckRequest, default_tags: Mapping[str, str]
) -> tuple[Inputs, list[tuple[str, str]]]:
    """Return a resource's inputs with what the provider fills in, and (property, reason) for what is wrong."""
    inputs = {name: value for name, value in decode(request.news).items() if not name.startswith("__")}
    name = _autoname(kind, request, decode(request.olds))
    filled: list[str] = []
    if name is not None and kind.autoname and inputs.get(kind.autoname.prop) is None:
        inputs[kind.autoname.prop] = name
        filled.append(kind.autoname.prop)
    if kind.retag is not None and default_tags and inputs.get("tags") is not UNKNOWN:
        inputs["tags"] = {**default_tags, **(inputs.get("tags") or {})}
    failed = list(failures(kind.accepts, inputs))
    if not failed:
        failed = [("", reason) for rule in kind.rules if (reason := rule(_known(inputs))) is not None]
    failed += [("tags", reason) for reason in _bad_tags(inputs.get("tags"))]
    return {**inputs, _DEFAULTS: filled}, failed


def _known(inputs: Inputs) -> Inputs:
    """Inputs for the rules across properties, where an unknown counts as given."""
    return {name: value for name, value in inputs.items() if value is not None}


def _bad_tags(tags: Value) -> list[str]:
    """AWS's limits on tags: 50 of them, 128 characters a key, 256 a value, and keys with `aws:` are its own."""
    if not isinstance(tags, dict):
        return []
    bad = [f"tags: {len(tags)} are more than 50"] if len(tags) > 50 else []
    for key, value in tags.items():
        if not 1 <= len(key) <= 128 or key.lower().startswith("aws:"):
            bad.append(f"tags: {key!r} is not a key that AWS takes")
        if isinstance(value, str) and len(value) > 256:
            bad.append(f"tags: the value of {key!r} is longer than 256 characters")
    return bad


def diff(kind: Kind, old: Inputs, new: Inputs) -> provider_pb2.DiffResponse:
    """Return the protocol's answer on how `new` inputs differ from `old` inputs."""
    found = differences(kind.accepts, old, new)
    if not found:
        return _Diff(changes=_Diff.DIFF_NONE, hasDetailedDiff=True)
    also = kind.also_replaces(old, new)
    detailed: dict[str, provider_pb2.PropertyDiff] = {}
    replaces: list[str] = []
    for difference in found:
        top = difference.path.replace("[", ".").split(".")[0]
        replaced = difference.replaces or top in also
        if replaced and top not in replaces:
            replaces.append(top)
        change = f"{difference.change}_REPLACE" if replaced else difference.change
        detailed[difference.path] = provider_pb2.PropertyDiff(
            kind=provider_pb2.PropertyDiff.Kind.Value(change), inputDiff=True
        )
    return _Diff(
        changes=_Diff.DIFF_SOME,
        diffs=sorted({path.replace("[", ".").split(".")[0] for path in detailed}),
        replaces=replaces,
        detailedDiff=detailed,
        hasDetailedDiff=True,
        deleteBeforeReplace=bool(replaces) and (kind.delete_first or _keeps_its_name(kind, new, replaces)),
    )


def _keeps_its_name(kind: Kind, new: Inputs, replaces: list[str]) -> bool:
    """A resource whose name the program gives cannot stand beside its replacement of the same name."""
    if kind.autoname is None or kind.autoname.prop in (new.get(_DEFAULTS) or []):
        return False
    return kind.autoname.prop not in replaces
