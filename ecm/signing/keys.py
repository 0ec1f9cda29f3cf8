"""Signing keys: Ed25519, kept as PKCS #8 in files that only their owner may read."""

from __future__ import annotations

import base64
import os
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)


class KeyFileError(Exception):
    """A signing key that cannot be used: which file, why, and how to mend it."""


@dataclass(frozen=True)
class SigningKey:
    """A private key; nothing prints it."""

    private: Ed25519PrivateKey = field(repr=False)

    @property
    def public(self) -> str:
        """The public key, 32 bytes in base64."""
        return base64.b64encode(self.private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()

    def sign(self, data: bytes) -> bytes:
        """Return the 64 bytes of the signature of `data`."""
        return self.private.sign(data)

    def pem(self) -> bytes:
        """Return the private key as PKCS #8 in PEM."""
        return self.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def new_key() -> SigningKey:
    """Return a key that nobody else has."""
    return SigningKey(Ed25519PrivateKey.generate())


def create_key(path: Path) -> SigningKey:
    """Make a key and keep it at `path`, mode 0600; FileExistsError when there is one."""
    key = new_key()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(key.pem())
        file.flush()
        os.fsync(file.fileno())
    return key


def load_key(path: Path) -> SigningKey:
    """Return the key at `path`; KeyFileError when others may read it or it is no Ed25519 key."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError as error:
        raise KeyFileError(f"{path}: cannot read the signing key: {error.strerror}") from None
    with os.fdopen(handle, "rb") as file:
        mode = os.fstat(file.fileno()).st_mode
        if mode & 0o077:
            raise KeyFileError(f"{path}: others may read the signing key; run: chmod 600 {path}")
        return read_key(file.read(), str(path))


def read_key(pem: bytes, where: str) -> SigningKey:
    """Return the key in `pem`; KeyFileError, which names `where`, when it is no Ed25519 key."""
    try:
        private = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise KeyFileError(f"{where}: not a private key in PEM; restore the stack's signing key") from None
    if not isinstance(private, Ed25519PrivateKey):
        raise KeyFileError(f"{where}: not an Ed25519 key; restore the stack's signing key")
    return SigningKey(private)
