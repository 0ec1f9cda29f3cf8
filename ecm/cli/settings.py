"""A stack's configuration file, `stacks/Pulumi.<stack>.yaml`: read, and changed without losing a comment."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import YAMLError

from ecm import files
from ecm.cli.exits import Code, CommandError
from ecm.model.collection import Collection

PROJECT: Final = "endpoint-chain-manager"
APPROVED: Final = f"{PROJECT}:approvedPlan"
REVIEWED: Final = f"{PROJECT}:reviewedPlan"
"""In the configuration of a review's preview only."""
STORE: Final = f"{PROJECT}:store"
SIGNER: Final = f"{PROJECT}:signer"
SIGNERS: Final = f"{PROJECT}:signers"
OVERLAY_SIGNERS: Final = f"{PROJECT}:overlay_signers"
FORECAST: Final = f"{PROJECT}:forecast"
TELEMETRY: Final = f"{PROJECT}:telemetry"
_DEFAULT_STORE: Final = ".ecm/store"
_DEFAULT_SIGNER: Final = ".ecm/keys"
_BACKENDS: Final = ("local", "dask")


@dataclass(frozen=True)
class ForecastSettings:
    """Where forecasts of many series are worked on."""

    backend: str = "local"
    """`local` or `dask`."""
    scheduler: str | None = None
    """Of Dask: `tcp://host:port`, or `tls://host:port`."""


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
    overlay_signers: tuple[str, ...] = ()
    """Public keys of routing services: ingress nodes let what they sign choose among the base's chains."""
    forecast: ForecastSettings = ForecastSettings()
    telemetry: Collection = field(default_factory=Collection)
    """What `ecm collect` collects."""


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
        overlay_signers=_overlay_signers(config, path),
        forecast=_forecast(config.get(FORECAST), path),
        telemetry=_telemetry(config.get(TELEMETRY), path),
    )


def _overlay_signers(config: Mapping[str, Any], path: Path) -> tuple[str, ...]:
    """Return who may sign overlays; CommandError for what is no public key, or one that signs manifests."""
    found = tuple(str(config.get(OVERLAY_SIGNERS) or "").split())
    where = f"{path}: config.{OVERLAY_SIGNERS}"
    for key in found:
        if not re.fullmatch(r"[A-Za-z0-9+/]{43}=", key):
            raise CommandError(
                f"{where}: {key[:60]!r} is no public key: 32 bytes in base64, as `ecm serve key` prints it"
            )
        if key in str(config.get(SIGNERS) or "").split():
            raise CommandError(f"{where}: {key} also signs what nodes run; make the service its own: ecm serve key")
    return found


def _forecast(found: object, path: Path) -> ForecastSettings:
    """Return what the file says of forecasts; CommandError says what is wrong with it."""
    if found is None:
        return ForecastSettings()
    where = f"{path}: config.{FORECAST}"
    if not isinstance(found, dict) or not set(found) <= {"backend", "scheduler"}:
        raise CommandError(f"{where}: must hold `backend: local` or `backend: dask` with `scheduler: tcp://host:port`")
    backend, scheduler = str(found.get("backend", "local")), found.get("scheduler")
    if backend not in _BACKENDS:
        raise CommandError(f"{where}.backend: {backend!r} is not known; there is: {', '.join(_BACKENDS)}")
    if (backend == "dask") != (scheduler is not None):
        missing = "needs" if backend == "dask" else "has no use for"
        raise CommandError(f"{where}.scheduler: backend {backend} {missing} an address, tcp://host:port")
    return ForecastSettings(backend, None if scheduler is None else str(scheduler))


def _telemetry(found: object, path: Path) -> Collection:
    """Return what the file says of sources; CommandError says what is wrong with it."""
    try:
        return Collection() if found is None else Collection.model_validate(found)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, (f"{path}: config.{TELEMETRY}", *first["loc"])))
        raise CommandError(f"{where}: {first['msg']}; policies/schemas/telemetry.schema.json lists the keys") from None


def write_overlay_signers(root: Path, stack: str, signers: tuple[str, ...]) -> Path:
    """Write who may sign overlays, in one step; comments and order stay. Returns the file."""
    path = _path(root, stack)
    document = _load(path)
    config = _config(document, path)
    config[OVERLAY_SIGNERS] = " ".join(signers)
    document["config"] = config
    _replace(path, _dumped(document))
    return path


def write_approved(root: Path, stack: str, digest: str, signers: tuple[str, ...]) -> Path:
    """Write `digest` as the approved plan and who may sign, in one step; comments and order stay. Returns the file."""
    path = _path(root, stack)
    document = _load(path)
    config = _config(document, path)
    config[APPROVED] = digest
    config[SIGNERS] = " ".join(signers)
    document["config"] = config
    _replace(path, _dumped(document))
    return path


def reviewed_text(root: Path, stack: str, digest: str | None, *, new: bool) -> str:
    """Return the stack's configuration under which the preview is that of the plan `digest`; None: of the approved one.

    For a `new` stack without what only the secrets of the old backend can read.
    """
    path = _path(root, stack)
    document = _load(path)
    config = _config(document, path)
    if digest is not None:
        config[REVIEWED] = digest
    if new:
        for key in [k for k in config if isinstance(config[k], dict) and "secure" in config[k]]:
            del config[key]
        for key in ("encryptionsalt", "encryptedkey", "secretsprovider"):
            document.pop(key, None)
    document["config"] = config
    return _dumped(document)


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


def _dumped(document: CommentedMap) -> str:
    text = io.StringIO()
    _yaml().dump(document, text)
    return text.getvalue()


def _replace(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write(path, text)
