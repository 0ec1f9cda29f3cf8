"""The signed manifest as one object: a DSSE envelope (github.com/secure-systems-lab/dsse, version 1.0.2), Ed25519.

One object holds payload and signature, so that a reader never sees one of them without the other. A signature covers
the payload's type as well, so that it can never be taken for a signature of something else.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from typing import Annotated, Final, Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pydantic import Field, StringConstraints, ValidationError

from ecm.model.base import Frozen, canonical
from ecm.model.manifest import Manifest
from ecm.signing.keys import SigningKey

PAYLOAD_TYPE: Final = "application/vnd.ecm.manifest+json"
MAX_BYTES = 8 << 20
"""Of an envelope; one of 10,000 nodes has about 2 MiB."""

Base64 = Annotated[str, StringConstraints(pattern=r"\A[A-Za-z0-9+/]*={0,2}\z")]


class SignatureError(ValueError):
    """An envelope that is not what one of the trusted keys has signed."""


class _Signature(Frozen):
    keyid: str
    """The public key, in base64."""
    sig: Base64


class _Envelope(Frozen):
    payload: Base64
    payload_type: Literal["application/vnd.ecm.manifest+json"] = Field(alias="payloadType", default=PAYLOAD_TYPE)
    signatures: Annotated[tuple[_Signature, ...], Field(min_length=1, max_length=16)]


def sign(manifest: Manifest, keys: Iterable[SigningKey]) -> bytes:
    """Return the envelope of `manifest` signed with every one of `keys`; the same arguments give the same bytes."""
    body = canonical(manifest)
    signed = sorted(
        ((key.public, base64.b64encode(key.sign(_encoded(body))).decode()) for key in keys), key=lambda pair: pair[0]
    )
    envelope = _Envelope(
        payload=base64.b64encode(body).decode(),
        signatures=tuple(_Signature(keyid=public, sig=sig) for public, sig in signed),
    )
    return envelope.model_dump_json(by_alias=True).encode("ascii")


def open_envelope(data: bytes, trusted: Iterable[str]) -> Manifest:
    """Return the manifest in `data` when one of the `trusted` public keys (base64) has signed it.

    Nothing of the payload is parsed before its signature holds. SignatureError says what is wrong otherwise.
    """
    if len(data) > MAX_BYTES:
        raise SignatureError(f"the manifest has {len(data)} bytes, more than {MAX_BYTES}")
    try:
        envelope = _Envelope.model_validate_json(data)
        body = base64.b64decode(envelope.payload, validate=True)
    except (ValidationError, binascii.Error):
        raise SignatureError("the manifest is not a signed envelope") from None
    keys = set(trusted)
    known = [s for s in envelope.signatures if s.keyid in keys]
    if not known:
        raise SignatureError(f"no trusted key has signed the manifest, but {envelope.signatures[0].keyid[:60]!a}")
    if not any(_holds(s, body) for s in known):
        raise SignatureError("the manifest's signature is not valid: it was changed after it was signed")
    try:
        return Manifest.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise SignatureError(f"the signed manifest is not of a known version: {where}: {first['msg']}") from None


def _holds(signature: _Signature, body: bytes) -> bool:
    try:
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(signature.keyid, validate=True))
        key.verify(base64.b64decode(signature.sig, validate=True), _encoded(body))
    except (InvalidSignature, ValueError, binascii.Error):
        return False
    return True


def _encoded(body: bytes) -> bytes:
    """Return DSSE's pre-authentication encoding of the payload."""
    kind = PAYLOAD_TYPE.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(body), body)
