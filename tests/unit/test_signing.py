"""Signed manifests: what is accepted, and everything that is not."""

from __future__ import annotations

import base64
import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecm import signing
from ecm.model.base import digest_bytes
from ecm.model.contract import MANIFEST_KEY
from ecm.model.manifest import Manifest, SignedObject
from ecm.model.rendered import ConfigObject

KEY, OTHER = signing.new_key(), signing.new_key()
MANIFEST = Manifest(
    stack="prod",
    serial=7,
    plan=digest_bytes(b"plan"),
    objects=(SignedObject(key="nodes/edge/us-east-1a/0/g1/base.json", digest=digest_bytes(b"{}")),),
)


def test_what_a_trusted_key_signed_is_read_back() -> None:
    assert signing.open_envelope(signing.sign(MANIFEST, [KEY]), [OTHER.public, KEY.public]) == MANIFEST
    assert MANIFEST.digest_of("nodes/edge/us-east-1a/0/g1/base.json") == digest_bytes(b"{}")
    assert MANIFEST.digest_of("nodes/edge/us-east-1a/1/g1/base.json") is None


def test_the_same_manifest_has_the_same_bytes_and_either_of_two_keys_is_enough() -> None:
    both = signing.sign(MANIFEST, [KEY, OTHER])
    assert both == signing.sign(MANIFEST, [OTHER, KEY])
    assert signing.open_envelope(both, [KEY.public]) == signing.open_envelope(both, [OTHER.public])


def test_an_untrusted_key_is_refused() -> None:
    with pytest.raises(signing.SignatureError, match="no trusted key"):
        signing.open_envelope(signing.sign(MANIFEST, [OTHER]), [KEY.public])
    with pytest.raises(signing.SignatureError, match="no trusted key"):
        signing.open_envelope(signing.sign(MANIFEST, [KEY]), [])


def test_a_signature_under_a_trusted_name_by_another_key_is_refused() -> None:
    forged = json.loads(signing.sign(MANIFEST, [OTHER]))
    forged["signatures"][0]["keyid"] = KEY.public
    with pytest.raises(signing.SignatureError, match="not valid"):
        signing.open_envelope(json.dumps(forged).encode(), [KEY.public])


def test_another_payload_or_type_under_the_signature_is_refused() -> None:
    envelope = json.loads(signing.sign(MANIFEST, [KEY]))
    later = MANIFEST.model_copy(update={"serial": 8}).model_dump_json().encode()
    moved = envelope | {"payload": base64.b64encode(later).decode()}
    with pytest.raises(signing.SignatureError, match="not valid"):
        signing.open_envelope(json.dumps(moved).encode(), [KEY.public])
    typed = envelope | {"payloadType": "application/vnd.ecm.overlay+json"}
    with pytest.raises(signing.SignatureError, match="not a signed envelope"):
        signing.open_envelope(json.dumps(typed).encode(), [KEY.public])


def test_what_is_too_large_is_not_even_parsed() -> None:
    with pytest.raises(signing.SignatureError, match="bytes, more than"):
        signing.open_envelope(b" " * (8 << 20) + signing.sign(MANIFEST, [KEY]), [KEY.public])


@given(at=st.integers(min_value=0, max_value=10_000), bit=st.integers(min_value=0, max_value=7))
@settings(max_examples=200, deadline=None)
def test_no_flipped_bit_changes_what_is_read(at: int, bit: int) -> None:
    data = bytearray(signing.sign(MANIFEST, [KEY]))
    data[at % len(data)] ^= 1 << bit
    with contextlib.suppress(signing.SignatureError):
        assert signing.open_envelope(bytes(data), [KEY.public]) == MANIFEST


@given(cut=st.integers(min_value=0, max_value=10_000))
@settings(max_examples=50, deadline=None)
def test_a_truncated_manifest_is_refused(cut: int) -> None:
    data = signing.sign(MANIFEST, [KEY])
    with pytest.raises(signing.SignatureError):
        signing.open_envelope(data[: cut % len(data)], [KEY.public])


def test_a_key_file_is_its_owners_only(tmp_path: Path) -> None:
    made = signing.create_key(tmp_path / "keys" / "prod.pem")
    path = tmp_path / "keys" / "prod.pem"
    assert path.stat().st_mode & 0o777 == 0o600
    assert signing.load_key(path).public == made.public
    assert "PRIVATE" not in repr(made)
    with pytest.raises(FileExistsError):
        signing.create_key(path)
    path.chmod(0o640)
    with pytest.raises(signing.KeyFileError, match="chmod 600"):
        signing.load_key(path)
    path.chmod(0o600)
    path.write_text("nothing")
    with pytest.raises(signing.KeyFileError, match="not a private key"):
        signing.load_key(path)
    with pytest.raises(signing.KeyFileError, match="cannot read"):
        signing.load_key(tmp_path / "absent.pem")


def test_a_folder_gets_objects_and_the_manifest_that_names_them(tmp_path: Path) -> None:
    objects = [ConfigObject(key="vpns/corp/peers.json", text="{}"), ConfigObject(key="nodes/a/base.json", text="{ }")]
    signing.publish(tmp_path, objects, ("prod", 3, digest_bytes(b"plan")), KEY)
    manifest = signing.open_envelope((tmp_path / MANIFEST_KEY).read_bytes(), [KEY.public])
    assert [o.key for o in manifest.objects] == ["nodes/a/base.json", "vpns/corp/peers.json"]
    assert all(digest_bytes((tmp_path / o.key).read_bytes()) == o.digest for o in manifest.objects)
    assert not list(tmp_path.rglob(".part-*"))
