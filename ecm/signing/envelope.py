"""Signed objects: DSSE envelopes (github.com/secure-systems-lab/dsse, version 1.0.2), Ed25519.

One object holds payload and signature, so that a reader never sees one of them without the other. A signature covers
the payload's type as well, so that one of a manifest can never be taken for one of an overlay, nor the reverse.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from typing import Annotated, Final, TypeVar

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pydantic import Field, StringConstraints, ValidationError

from ecm.model.base import Frozen, canonical
from ecm.model.manifest import Manifest
from ecm.model.overlay import Overlay
from ecm.signing.keys import SigningKey

PAYLOAD_TYPE: Final = "application/vnd.ecm.manifest+json"
OVERLAY_TYPE: Final = "application/vnd.ecm.overlay+json"
MAX_BYTES = 8 << 20
"""Of a manifest's envelope; one of 10,000 nodes has about 2 MiB."""
MAX_OVERLAY_BYTES = 4 << 20
"""Of an overlay's; one of 2,048 rules has about 0.5 MiB."""

_Payload = TypeVar("_Payload", bound=Frozen)
Base64 = Annotated[str, StringConstraints(pattern=r"\A[A-Za-z0-9+/]*={0,2}\z")]


class SignatureError(ValueError):
    """An envelope that is not what one of the trusted keys has signed."""


class _Signature(Frozen):
    keyid: str
    """The public key, in base64."""
    sig: Base64


class _Envelope(Frozen):
    payload: Base64
    payload_type: str = Field(alias="payloadType")
    signatures: Annotated[tuple[_Signature, ...], Field(min_length=1, max_length=16)]


def sign(manifest: Manifest, keys: Iterable[SigningKey]) -> bytes:
    """Return the envelope of `manifest` signed with every one of `keys`; the same arguments give the same bytes."""
    return _signed(manifest, PAYLOAD_TYPE, keys)


def open_envelope(data: bytes, trusted: Iterable[str]) -> Manifest:
    """Return the manifest in `data` when one of the `trusted` public keys (base64) has signed it.

    Nothing of the payload is parsed before its signature holds. SignatureError says what is wrong otherwise.
    """
    if len(data) > MAX_BYTES:
        raise SignatureError(f"the manifest has {len(data)} bytes, more than {MAX_BYTES}")
    return _parsed(Manifest, _opened(data, PAYLOAD_TYPE, set(trusted), "manifest"), "manifest")


def sign_overlay(overlay: Overlay, key: SigningKey) -> bytes:
    """Return the envelope of `overlay` signed with `key`; the same arguments give the same bytes."""
    return _signed(overlay, OVERLAY_TYPE, (key,))


def open_overlay(data: bytes, trusted: Iterable[str]) -> Overlay:
    """Return the overlay in `data`, as `open_envelope` does a manifest."""
    if len(data) > MAX_OVERLAY_BYTES:
        raise SignatureError(f"the overlay has {len(data)} bytes, more than {MAX_OVERLAY_BYTES}")
    return _parsed(Overlay, _opened(data, OVERLAY_TYPE, set(trusted), "overlay"), "overlay")


def _signed(payload: Frozen, kind: str, keys: Iterable[SigningKey]) -> bytes:
    body = canonical(payload)
    signed = sorted(
        ((key.public, base64.b64encode(key.sign(_encoded(kind, body))).decode()) for key in keys),
        key=lambda pair: pair[0],
    )
    envelope = _Envelope(
        payload=base64.b64encode(body).decode(),
        payloadType=kind,
        signatures=tuple(_Signature(keyid=public, sig=sig) for public, sig in signed),
    )
    return envelope.model_dump_json(by_alias=True).encode("ascii")


def _opened(data: bytes, kind: str, trusted: set[str], what: str) -> bytes:
    """Return the payload of an envelope of `kind` that one of the `trusted` keys has signed."""
    try:
        envelope = _Envelope.model_validate_json(data)
        body = base64.b64decode(envelope.payload, validate=True)
    except (ValidationError, binascii.Error):
        raise SignatureError(f"the {what} is not a signed envelope") from None
    if envelope.payload_type != kind:
        raise SignatureError(f"the {what} is not a signed envelope of type {kind}")
    known = [s for s in envelope.signatures if s.keyid in trusted]
    if not known:
        raise SignatureError(f"no trusted key has signed the {what}, but {envelope.signatures[0].keyid[:60]!a}")
    if not any(_holds(s, _encoded(kind, body)) for s in known):
        raise SignatureError(f"the {what}'s signature is not valid: it was changed after it was signed")
    return body


def _parsed(model: type[_Payload], body: bytes, what: str) -> _Payload:
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise SignatureError(f"the signed {what} is not of a known version: {where}: {first['msg']}") from None


def _holds(signature: _Signature, encoded: bytes) -> bool:
    try:
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(signature.keyid, validate=True))
        key.verify(base64.b64decode(signature.sig, validate=True), encoded)
    except (InvalidSignature, ValueError, binascii.Error):
        return False
    return True


def _encoded(kind: str, body: bytes) -> bytes:
    """Return DSSE's pre-authentication encoding of the payload."""
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind.encode(), len(body), body)
