"""What roles may do: named actions on named resources."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from ecm.guardrails.rule import Bounds, Resource, ResourceRule

_DOCUMENTS: Final = {
    "aws:iam/rolePolicy:RolePolicy": "policy",
    "aws:iam/policy:Policy": "policy",
    "aws:iam/userPolicy:UserPolicy": "policy",
    "aws:iam/groupPolicy:GroupPolicy": "policy",
}
_ROLE = "aws:iam/role:Role"
_ATTACHMENTS: Final = (
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
    "aws:iam/userPolicyAttachment:UserPolicyAttachment",
    "aws:iam/groupPolicyAttachment:GroupPolicyAttachment",
    "aws:iam/policyAttachment:PolicyAttachment",
)
_FIELDS_BEFORE_RESOURCE: Final = 5
"""`arn:partition:service:region:account:resource`."""


def _iam(resource: Resource, bounds: Bounds) -> Iterator[str]:
    if resource.type in _ATTACHMENTS:
        yield from _attached(str(resource.props["policyArn"]))
    if resource.type in _DOCUMENTS:
        yield from _document(resource.props[_DOCUMENTS[resource.type]], bounds)
    if resource.type == _ROLE:
        for inline in resource.props.get("inlinePolicies") or ():
            yield from _document(inline["policy"], bounds)
        for arn in resource.props.get("managedPolicyArns") or ():
            yield from _attached(str(arn))
        yield from _trust(resource.props["assumeRolePolicy"])


def _attached(arn: str) -> Iterator[str]:
    if ":iam::aws:policy/" in arn:
        yield (
            f"{arn} is AWS's to change, with wildcard actions in most of its kind. Write the actions that are needed "
            "into a policy of the role's own."
        )


def _document(text: object, bounds: Bounds) -> Iterator[str]:
    for statement in _statements(text):
        if statement is None:
            yield "the policy document cannot be read as JSON with a list of statements. Mend it."
        elif statement.get("Effect") != "Deny":
            yield from _allowed(statement, bounds.limits.guardrails.wildcard_resource_actions)


def _allowed(statement: Mapping[str, Any], without_resource: Sequence[str]) -> Iterator[str]:
    for key in ("NotAction", "NotResource"):
        if key in statement:
            yield f"{key} allows whatever is not named. Name what is allowed."
    actions = _texts(statement.get("Action"))
    for action in actions:
        if "*" in action or "?" in action:
            yield f"the action {action} is a wildcard. Name the actions that are needed."
    broad = [arn for arn in _texts(statement.get("Resource")) if _is_broad(arn)]
    wide = sorted(set(actions) - set(without_resource))
    if broad and wide:
        yield (
            f"{', '.join(wide)} on {', '.join(broad)}. Name the resources; an action that knows none may stand in "
            "guardrails.wildcard_resource_actions of policies/limits.yaml."
        )


def _trust(text: object) -> Iterator[str]:
    for statement in _statements(text):
        if statement is None:
            yield "the trust document cannot be read as JSON with a list of statements. Mend it."
            continue
        if statement.get("Effect") == "Deny":
            continue
        who = statement.get("Principal")
        named = [name for value in (who.values() if isinstance(who, Mapping) else [who]) for name in _texts(value)]
        if "NotPrincipal" in statement or not named or any("*" in name for name in named):
            yield "anybody may take the role. Name the service or account in Principal."


def _statements(text: object) -> Iterator[Mapping[str, Any] | None]:
    """Each statement of a policy document, none for one that cannot be read."""
    try:
        document = json.loads(text) if isinstance(text, str) else text
    except ValueError:
        document = None
    found = document.get("Statement") if isinstance(document, Mapping) else None
    statements = [found] if isinstance(found, Mapping) else found
    if not isinstance(statements, Sequence) or isinstance(statements, str) or not statements:
        yield None
        return
    for statement in statements:
        yield statement if isinstance(statement, Mapping) else None


def _texts(value: object) -> list[str]:
    if value is None:
        return []
    return [str(v) for v in value] if isinstance(value, Sequence) and not isinstance(value, str) else [str(value)]


def _is_broad(arn: str) -> bool:
    """Whether an ARN leaves more open than the end of a resource's own name."""
    parts = arn.split(":", _FIELDS_BEFORE_RESOURCE)
    if len(parts) <= _FIELDS_BEFORE_RESOURCE:
        return True
    return any("*" in part for part in parts[:-1]) or parts[-1].startswith("*")


RULES: Final = (ResourceRule("iam-least-privilege", "No wildcard action, resource or principal in IAM.", _iam),)
