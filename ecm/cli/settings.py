"""A stack's configuration file, `stacks/Pulumi.<stack>.yaml`: read, and changed without losing a comment."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import YAMLError

from ecm import files
from ecm.cli.exits import Code, CommandError

PROJECT: Final = "endpoint-chain-manager"
APPROVED: Final = f"{PROJECT}:approvedPlan"
STORE: Final = f"{PROJECT}:store"
SIGNER: Final = f"{PROJECT}:signer"
SIGNERS: Final = f"{PROJECT}:signers"
_DEFAULT_STORE: Final = ".ecm/store"
_DEFAULT_SIGNER: Final = ".ecm/keys"


@dataclass(frozen=True)
class StackSettings:
    """What the file says of ECM."""

    stack: str
    path: Path
    store: str
    approved: str | None
    region: str | None
    signer: str
    """Where the private key is that signs approved plans: a folder, or secretsmanager:NAME."""
    signers: tuple[str, ...]
    """Public keys whose signature nodes accept."""


def read_settings(root: Path, stack: str) -> StackSettings:
    """Return the settings of `stack`; a file that does not exist stands for the defaults."""
    path = _path(root, stack)
    config = _config(_load(path), path)
    return StackSettings(
        stack=stack,
        path=path,
        store=str(config.get(STORE) or _DEFAULT_STORE),
        approved=str(config[APPROVED]) if config.get(APPROVED) else None,
        region=str(config["aws:region"]) if config.get("aws:region") else None,
        signer=str(config.get(SIGNER) or _DEFAULT_SIGNER),
        signers=tuple(str(config.get(SIGNERS) or "").split()),
    )


def write_approved(root: Path, stack: str, digest: str, signers: tuple[str, ...]) -> Path:
    """Write `digest` as the approved plan and who may sign, in one step; comments and order stay. Returns the file."""
    path = _path(root, stack)
    document = _load(path)
    config = _config(document, path)
    config[APPROVED] = digest
    config[SIGNERS] = " ".join(signers)
    document["config"] = config
    text = io.StringIO()
    _yaml().dump(document, text)
    _replace(path, text.getvalue())
    return path


def _path(root: Path, stack: str) -> Path:
    if not re.fullmatch(r"[a-z](?:-?[a-z0-9]){0,23}", stack):
        raise CommandError(f"--stack {stack!r}: not a stack's name: lower case letters, digits, hyphens", Code.USAGE)
    return root / "stacks" / f"Pulumi.{stack}.yaml"


def _yaml() -> YAML:
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 4096
    return yaml


def _load(path: Path) -> CommentedMap:
    try:
        document = _yaml().load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return CommentedMap()
    except (YAMLError, UnicodeDecodeError) as error:
        raise CommandError(f"{path}: not readable as YAML: {str(error).splitlines()[0]}") from None
    return document if isinstance(document, CommentedMap) else CommentedMap()


def _config(document: CommentedMap, path: Path) -> Any:  # noqa: ANN401 - ruamel's mapping
    config = document.get("config")
    if config is None:
        return CommentedMap()
    if not isinstance(config, CommentedMap):
        raise CommandError(f"{path}: config: is not a mapping; write `key: value` lines below it")
    return config


def _replace(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write(path, text)
