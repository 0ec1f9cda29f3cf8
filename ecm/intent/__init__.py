"""Reads what people write: the fleet file and the policies, checked field by field and against each other."""

from ecm.intent.judged import PACK, content, libraries, pack_digest
from ecm.intent.load import CATALOG, Intent, load, load_events, load_policies, load_request
from ecm.intent.problems import IntentError, Problem
from ecm.intent.schemas import schemas, write_schemas

__all__ = [
    "CATALOG",
    "PACK",
    "Intent",
    "IntentError",
    "Problem",
    "content",
    "libraries",
    "load",
    "load_events",
    "load_policies",
    "load_request",
    "pack_digest",
    "schemas",
    "write_schemas",
]
