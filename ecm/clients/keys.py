"""A client's own key pair: made here only when asked for, and its private half never kept."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

_BYTES = 32


@dataclass(frozen=True)
class KeyPair:
    """A WireGuard key pair."""

    private: str = field(repr=False)
    public: str


def new_key() -> KeyPair:
    """Return a new key pair."""
    made = X25519PrivateKey.generate()
    private = base64.b64encode(made.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())).decode()
    return KeyPair(private, public_of(private))


def public_of(private: str) -> str:
    """Return the public key of a private one; ValueError, which never repeats it, where it is none."""
    try:
        raw = base64.b64decode(private.strip(), validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != _BYTES:
        raise ValueError("is no WireGuard private key: 32 bytes in base64, as wg genkey prints")
    public = X25519PrivateKey.from_private_bytes(raw).public_key()
    return base64.b64encode(public.public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()
