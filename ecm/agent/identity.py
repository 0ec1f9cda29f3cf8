"""Whose agent this is: the settings, and on EC2 the instance's tags for what they leave out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pydantic import ValidationError

from ecm.agent.settings import Settings, SettingsError
from ecm.agent.version import Identity
from ecm.model.contract import CONFIG_TAG, SIGNERS_TAG

_NEEDED: Final = ("stack", "slot", "generation", "source", "signers")
TAGS: Final = ("ecm:stack", "ecm:slot", "ecm:generation", CONFIG_TAG, SIGNERS_TAG)
REGION: Final = "region"


@dataclass(frozen=True)
class Known:
    """Everything that the agent has to be told, whoever told it."""

    who: Identity
    settings: Settings


def lacks(settings: Settings) -> list[str]:
    """Return which settings are not there and have to come from the instance's tags."""
    source = settings.source
    given = {
        "stack": settings.stack is not None,
        "slot": settings.slot is not None,
        "generation": settings.generation is not None,
        "source": source.folder is not None or source.bucket is not None,
        "signers": bool(settings.signers),
    }
    return [name for name in _NEEDED if not given[name]]


def complete(settings: Settings, tags: Mapping[str, str]) -> Known:
    """Return the settings with what `tags` (and `region`) say of the rest; SettingsError where that is not enough."""
    lacking = lacks(settings)
    given = settings.model_dump(exclude_unset=True)
    texts = {"stack": tags.get(TAGS[0]), "slot": tags.get(TAGS[1]), "generation": tags.get(TAGS[2])}
    given |= {name: _typed(name, text) for name, text in texts.items() if name in lacking and text}
    if "source" in lacking and tags.get(CONFIG_TAG):
        given["source"] = {**given.get("source", {}), "bucket": tags[CONFIG_TAG]}
    if "signers" in lacking and tags.get(SIGNERS_TAG):
        given["signers"] = tags[SIGNERS_TAG].split()
    if settings.source.region is None and settings.source.folder is None and tags.get(REGION):
        given["source"] = {**given.get("source", {}), "region": tags[REGION]}
    try:
        found = Settings.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise SettingsError(f"instance tags: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    still = lacks(found)
    if still or found.stack is None or found.slot is None or found.generation is None:
        raise SettingsError(
            f"the settings lack {', '.join(still)}, and the instance's tags do not say it: give --settings FILE, or "
            "enable tags in the instance metadata"
        )
    return Known(Identity(found.stack, found.slot, found.generation), found)


def _typed(name: str, text: str) -> object:
    return int(text) if name == "generation" and re.fullmatch(r"[0-9]{1,9}", text) else text
