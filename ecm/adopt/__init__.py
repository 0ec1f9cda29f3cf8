"""From an existing VPC and WireGuard configuration to a fleet file and an import list. Pure: it reads nothing."""

from ecm.adopt.clients import peer_tables
from ecm.adopt.fleet import Asked, fleet_text
from ecm.adopt.imports import import_list
from ecm.adopt.space import AdoptError
from ecm.adopt.wireguard import Interface, WireGuardError, parse

__all__ = ["AdoptError", "Asked", "Interface", "WireGuardError", "fleet_text", "import_list", "parse", "peer_tables"]
