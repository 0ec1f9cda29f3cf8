"""Clients of a VPN: who they are, the address that each has, and the configuration that connects one."""

from ecm.clients.configuration import Entry, Terms, configuration, entry
from ecm.clients.keys import KeyPair, new_key, public_of
from ecm.clients.roster import ClientError, Roster, Shard, shard_of

__all__ = [
    "ClientError",
    "Entry",
    "KeyPair",
    "Roster",
    "Shard",
    "Terms",
    "configuration",
    "entry",
    "new_key",
    "public_of",
    "shard_of",
]
