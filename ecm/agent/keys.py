"""WireGuard keys: the node's own, made here and never sent; its neighbours' public ones; those that a tier shares."""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from ecm.agent.source import Fetched, Source, SourceError, Unchanged
from ecm.files import replace
from ecm.model.document import Document

_KEY: Final = re.compile(r"[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=")
MAX_KEY_BYTES: Final = 128


class KeyRefusedError(Exception):
    """A key that cannot be used; the message never holds one."""


class Secrets(Protocol):
    """Where shared keys are kept."""

    def read(self, name: str) -> str | None:
        """Return the secret, None where it has no value yet; SourceError when it cannot be read."""
        ...


@dataclass(frozen=True)
class FolderSecrets:
    """Secrets as files below a folder that nobody else may read."""

    folder: Path

    def read(self, name: str) -> str | None:
        """Return the file's text; SourceError when it or the folder is open to others."""
        path = self.folder / name
        try:
            if self.folder.stat().st_mode & 0o077:
                raise SourceError(f"{self.folder}: others may look into the folder of secrets; run: chmod 700")
            with path.open("rb") as file:
                if os.fstat(file.fileno()).st_mode & 0o077:
                    raise SourceError(f"{path}: others may read the secret; run: chmod 600")
                return file.read(MAX_KEY_BYTES).decode("ascii", "replace").strip()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise SourceError(f"{path}: {error.strerror}") from None


@dataclass(frozen=True)
class KeyRing:
    """Every key that a version's files name, by token; nothing prints it."""

    by_token: Mapping[str, str] = field(repr=False)
    missing: tuple[str, ...] = ()
    """Tokens without a key: their tunnels wait."""


def own_key(path: Path) -> str:
    """Return the node's private key, made and kept at `path` (mode 0600) where there is none."""
    try:
        text = path.read_text(encoding="ascii").strip()
        if _KEY.fullmatch(text):
            return text
    except (FileNotFoundError, UnicodeDecodeError):
        pass
    private = X25519PrivateKey.generate().private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
    text = base64.b64encode(private).decode()
    replace(path, f"{text}\n".encode(), 0o600)
    return text


def public_of(private: str) -> str:
    """Return the public key of a private one."""
    key = X25519PrivateKey.from_private_bytes(base64.b64decode(private))
    return base64.b64encode(key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()


class Neighbours:
    """Public keys of the slots that the document names, as these have published them; no other is ever asked for."""

    def __init__(self, source: Source, copy: Path) -> None:
        self._source = source
        self._copy = copy
        self._held = _copied(copy)

    def remembered(self, document: Document, own: str) -> dict[str, str]:
        """Return the keys that are held, by token, without asking anybody: what a restart goes on with."""
        return self._by_token(document, own)[0]

    def refresh(self, document: Document, own: str, *, only_missing: bool) -> tuple[dict[str, str], list[str]]:
        """Return the keys by token, and what is wrong with others; SourceError leaves the last ones in place."""
        problems: list[str] = []
        before = dict(self._held)
        named = {n.public_key for n in document.peers}
        self._held = {key: value for key, value in self._held.items() if key in named}
        for neighbour in document.peers:
            if only_missing and neighbour.public_key in self._held:
                continue
            try:
                self._ask(neighbour.public_key)
            except (SourceError, KeyRefusedError) as error:
                problems.append(f"{neighbour.slot}#{neighbour.generation}: {error}")
        if self._held != before:
            replace(self._copy, json.dumps(self._held).encode(), 0o600)
        found, refused = self._by_token(document, own)
        return found, [*problems, *refused]

    def _by_token(self, document: Document, own: str) -> tuple[dict[str, str], list[str]]:
        """Return the keys by token; one that this node or two slots have is nobody's."""
        found: dict[str, str] = {}
        problems: list[str] = []
        owners: dict[str, str] = {own: "this node's own"}
        for neighbour in document.peers:
            held = self._held.get(neighbour.public_key)
            if held is None:
                continue
            name = f"{neighbour.slot}#{neighbour.generation}"
            if held[0] in owners:
                problems.append(f"{name}: its public key is {owners[held[0]]}: refused")
                continue
            owners[held[0]] = f"{name}'s"
            found[neighbour.token] = held[0]
        return found, problems

    def _ask(self, key: str) -> None:
        known = self._held.get(key)
        answer = self._source.fetch(key, MAX_KEY_BYTES, known[1] if known else None)
        if isinstance(answer, Unchanged):
            return
        if not isinstance(answer, Fetched):
            raise KeyRefusedError("has published no public key")
        text = answer.data.decode("ascii", "replace").strip()
        if not _KEY.fullmatch(text):
            raise KeyRefusedError("what it has published is not a public key")
        self._held[key] = (text, answer.version)


def _copied(copy: Path) -> dict[str, tuple[str, str]]:
    """Return the keys of a copy; the versions that they had are forgotten, so that each is asked for once more."""
    try:
        held = json.loads(copy.read_bytes())
    except (OSError, ValueError):
        return {}
    rows = held.items() if isinstance(held, dict) else ()
    return {str(k): (str(v[0]), "") for k, v in rows if isinstance(v, list) and v and _KEY.fullmatch(str(v[0]))}


class SharedKeys:
    """The keys that a tier shares, with a copy in memory (tmpfs) for a restart while their store is out of reach."""

    def __init__(self, secrets: Secrets, run: Path) -> None:
        self._secrets = secrets
        self._copy = run / "secrets.json"
        self.held = self._load()

    def refresh(self, document: Document) -> list[str]:
        """Read every secret that the document names; return what is wrong. Those that cannot be read stay as held."""
        named = [*document.keys.pairs, *([document.keys.edge] if document.keys.edge else [])]
        problems = []
        for item in named:
            try:
                text = self._secrets.read(item.secret)
            except SourceError as error:
                problems.append(f"secret {item.secret}: {error}")
                continue
            if text is None or not _KEY.fullmatch(text):
                problems.append(f"secret {item.secret}: {'has no value' if text is None else 'is not a key'}")
                continue
            self.held[item.token] = text
        tokens = {item.token for item in named}
        self.held = {token: key for token, key in self.held.items() if token in tokens}
        replace(self._copy, json.dumps(self.held).encode(), 0o600)
        return problems

    def _load(self) -> dict[str, str]:
        try:
            held = json.loads(self._copy.read_bytes())
        except (OSError, ValueError):
            return {}
        return {str(k): str(v) for k, v in held.items() if _KEY.fullmatch(str(v))} if isinstance(held, dict) else {}


def ring(document: Document, private: str, shared: Mapping[str, str], public: Mapping[str, str]) -> KeyRing:
    """Return the key of every token that the document's files may hold."""
    keys = {document.keys.private: private, **public}
    named = [*document.keys.pairs, *([document.keys.edge] if document.keys.edge else [])]
    keys |= {item.token: shared[item.token] for item in named if item.token in shared}
    wanted = [document.keys.private, *(i.token for i in named), *(n.token for n in document.peers)]
    return KeyRing(keys, tuple(token for token in wanted if token not in keys))
