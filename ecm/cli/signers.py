"""Who signs: the private key of a stack's approvals, and the signature of what an approved plan lets nodes take."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from ecm import signing
from ecm.cli.exits import CommandError
from ecm.cli.session import Session
from ecm.model.plan import Plan
from ecm.signing import SigningKey
from ecm.store import Signed, Store

_IN_AWS: Final = "secretsmanager:"


def sign_off(session: Session, store: Store, plan: Plan) -> tuple[str, ...]:
    """Sign the configuration of `plan`, keep the signature in the store, and return the public keys that nodes accept.

    Each signature has a higher serial than the one before it, so that a plan that is approved again is no replay. A
    plan whose signature is the last one is not signed again. CommandError when the stack's key is not here.
    """
    key, signers = _key(session)
    last = store.signed()
    if last is None or last.plan != plan.digest or not _holds(store, plan, signers):
        serial = max(int(session.now().timestamp()), last.serial + 1 if last else 0)
        store.set_manifest(Signed(plan=plan.digest, serial=serial), signing.sign_plan(plan, serial, key))
    return signers


def _holds(store: Store, plan: Plan, signers: tuple[str, ...]) -> bool:
    try:
        return signing.open_envelope(store.manifest(plan.digest), signers).plan == plan.digest
    except signing.SignatureError:
        return False


def _key(session: Session) -> tuple[SigningKey, tuple[str, ...]]:
    """Return the stack's key and every public key that nodes accept; the first approval of a stack makes a key."""
    settings = session.settings
    where = settings.signer
    if where.startswith(_IN_AWS):
        key = _from_aws(session, where.removeprefix(_IN_AWS))
    else:
        path = session.root / Path(where).expanduser() / f"{session.stack}.pem"
        if not settings.signers and not path.exists():
            key = signing.create_key(path)
            session.note(f"made {path}: it signs what the nodes of {session.stack} take; keep it, and keep it secret")
        else:
            key = signing.load_key(path)
    signers = settings.signers or (key.public,)
    if key.public not in signers:
        raise CommandError(
            f"the key in {where} is not one whose signature the nodes of {session.stack} accept\n"
            f"    It is {key.public}; they accept {', '.join(signers)} (signers in {settings.path.name})\n"
            "    Use the stack's own key. To change keys: add the new one to signers, approve, up, then sign with it"
        )
    return key, signers


def _from_aws(session: Session, name: str) -> SigningKey:
    from ecm.aws import node_clients  # noqa: PLC0415 - boto3 only where the key is there

    text = node_clients("", session.settings.region)[1].read(name)
    if text is None:
        raise CommandError(
            f"the secret {name} has no signing key\n"
            f"    Make one: openssl genpkey -algorithm ed25519, and keep it there as text"
        )
    return signing.read_key(text.encode(), f"secret {name}")
