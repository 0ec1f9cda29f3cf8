"""Reads what people write: the fleet file and the policies, checked field by field and against each other."""

from ecm.intent.load import Intent, load, load_events
from ecm.intent.problems import IntentError, Problem
from ecm.intent.schemas import schemas, write_schemas

__all__ = ["Intent", "IntentError", "Problem", "load", "load_events", "schemas", "write_schemas"]
