"""Where the routing service's overlays go, and the key that signs them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ecm import signing
from ecm.agent.cloud import BucketSource
from ecm.agent.source import Fetched, FolderSource, Source, SourceError
from ecm.cli.exits import Code, CommandError
from ecm.cli.session import Session
from ecm.cli.settings import write_overlay_signers
from ecm.serve.publisher import Publication
from ecm.signing import SigningKey
from ecm.signing.envelope import MAX_OVERLAY_BYTES

_S3: Final = "s3://"


@dataclass(frozen=True)
class SourceTarget:
    """The agents' own source, written to."""

    source: Source

    def read(self, key: str) -> bytes | None:
        """Return an object, None where there is none; OSError."""
        try:
            found = self.source.fetch(key, MAX_OVERLAY_BYTES)
        except SourceError as error:
            raise OSError(str(error)) from None
        return found.data if isinstance(found, Fetched) else None

    def write(self, key: str, data: bytes) -> None:
        """Write an object; OSError."""
        try:
            self.source.publish(key, data)
        except SourceError as error:
            raise OSError(str(error)) from None


def publication_of(session: Session, where: str | None) -> Publication | None:
    """Return where overlays go, None where they go nowhere; CommandError where nodes would not take them."""
    if where is None:
        return None
    path = key_path(session)
    if not path.exists():
        raise CommandError(
            f"--publish: there is no {path}; make the service's key: ecm serve key --stack {session.stack}"
        )
    key = signing.load_key(path)
    _require_taken(session, key)
    return Publication(SourceTarget(_source(session, where)), key, path)


def key_path(session: Session) -> Path:
    """Return the file of the key that signs overlays."""
    return session.root / ".ecm" / "keys" / f"{session.stack}.overlay.pem"


def make_key(session: Session) -> tuple[SigningKey, bool]:
    """Return the service's key, made where there is none, and whether the stack's configuration had to be told."""
    path = key_path(session)
    key = signing.load_key(path) if path.exists() else signing.create_key(path)
    known = session.settings.overlay_signers
    if key.public in known:
        return key, False
    write_overlay_signers(session.root, session.stack, (*known, key.public))
    return key, True


def _require_taken(session: Session, key: SigningKey) -> None:
    store = session.store()
    entry = store.last_applied()
    if entry is None or entry.plan is None:
        return  # said by whoever reads the offer
    overlay = store.plan(entry.plan).desired.overlay
    if overlay is None or key.public not in overlay.signers:
        raise CommandError(
            f"--publish: the nodes of the applied plan do not take overlays signed by {key.public}\n"
            f"    Run ecm serve key --stack {session.stack}, then plan, approve, up"
        )


def _source(session: Session, where: str) -> Source:
    if not where.startswith(_S3):
        folder = Path(where).expanduser()
        if not folder.is_dir():
            raise CommandError(f"--publish {where}: no such folder; name the one that the agents read, or s3://BUCKET")
        return FolderSource(folder)
    bucket = where.removeprefix(_S3).rstrip("/")
    if not bucket or "/" in bucket:
        raise CommandError(f"--publish {where}: name the stack's configuration bucket alone, s3://BUCKET", Code.USAGE)
    from ecm.aws import node_clients  # noqa: PLC0415 - AWS only where it is asked for

    return BucketSource(node_clients(bucket, session.settings.region)[0])
