"""Signatures of configuration: who approves a plan signs what nodes may take; a node takes nothing else."""

from ecm.signing.envelope import SignatureError, open_envelope, open_overlay, sign, sign_overlay
from ecm.signing.folder import publish, sign_plan
from ecm.signing.keys import KeyFileError, SigningKey, create_key, load_key, new_key, read_key

__all__ = [
    "KeyFileError",
    "SignatureError",
    "SigningKey",
    "create_key",
    "load_key",
    "new_key",
    "open_envelope",
    "open_overlay",
    "publish",
    "read_key",
    "sign",
    "sign_overlay",
    "sign_plan",
]
