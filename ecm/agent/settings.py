"""What an agent is told: one YAML or JSON file, and on EC2 the instance's own tags for what the file leaves out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from ecm.model.base import Name, Region, SlotId

DEFAULT_FILE = Path("/etc/ecm-agent/settings.yaml")
Seconds = Annotated[float, Field(gt=0, le=86_400)]
Ed25519 = Annotated[str, StringConstraints(pattern=r"\A[A-Za-z0-9+/]{43}=\z")]
"""A public key: 32 bytes in base64."""


class SettingsError(ValueError):
    """Settings that cannot be used: which file, which field, and how to mend it."""


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, use_attribute_docstrings=True)


class Source(_Strict):
    """Where configuration is pulled from and public keys are published to: a folder, or an S3 bucket."""

    folder: Path | None = None
    bucket: Annotated[str, StringConstraints(pattern=r"\A[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]\z")] | None = None
    region: Region | None = None
    """The bucket's and Secrets Manager's; on EC2 the instance's own where nothing is given."""

    @model_validator(mode="after")
    def _one(self) -> Source:
        if self.folder is not None and self.bucket is not None:
            raise ValueError("give a folder or a bucket, not both")
        return self


class Directories(_Strict):
    """Where the agent writes. Several agents on one machine need directories of their own."""

    root: Path = Path("/")
    """The document's files, such as /etc/ecm/nftables.conf, are written below it."""
    state: Path = Path("/var/lib/ecm-agent")
    """The last good configuration, the node's private key, counters, a drain: it outlives a restart."""
    run: Path = Path("/run/ecm-agent")
    """Must be in memory (tmpfs): files with keys, and the control socket."""
    proc_sys: Path = Path("/proc/sys")


class Tools(_Strict):
    """Programs, by name or path."""

    ip: str = "ip"
    tc: str = "tc"
    nft: str = "nft"
    wg: str = "wg"
    bird: str = "bird"
    birdc: str = "birdc"
    wireguard_go: str = "wireguard-go"


class WireGuard(_Strict):
    """How tunnel interfaces are made."""

    implementation: Literal["kernel", "userspace"] = "kernel"
    """`userspace` runs wireguard-go, whose sockets lie in /var/run/wireguard by interface name."""


class Bird(_Strict):
    """The routing daemon."""

    socket: Path = Path("/run/bird/bird.ctl")
    start: bool = False
    """Start BIRD where its socket does not answer; on a node systemd does."""


class Health(_Strict):
    """Where /healthz, /status and /metrics answer; unset: the private address and port of the node's document."""

    address: str | None = None
    port: Annotated[int, Field(ge=1, le=65535)] | None = None


class Intervals(_Strict):
    """Seconds between two looks."""

    config_s: Seconds = 5
    """At the manifest."""
    overlay_s: Seconds = 2
    """At the overlay, on ingress nodes of a stack that takes one."""
    keys_s: Seconds = 30
    """At the neighbours' public keys; at those that are missing, each `config_s`."""
    secrets_s: Seconds = 300
    """At shared keys in Secrets Manager or the folder of secrets."""
    clients_s: Seconds = 0.5
    """At clients' handshakes."""
    health_s: Seconds = 2
    """At interfaces, firewall, BFD and, where no path is left, the sibling nodes."""
    confirm_s: Seconds = 20
    """A new configuration that is not healthy by then is taken back."""


class Settings(_Strict):
    """The file. Everything has a default on EC2; elsewhere stack, slot, generation, source and signers are needed."""

    stack: Name | None = None
    slot: SlotId | None = None
    generation: Annotated[int, Field(ge=1)] | None = None
    source: Source = Source()
    secrets: Path | None = None
    """A folder (mode 0700, files 0600) with each secret at its name, such as ecm/prod/edge/edge; unset: Secrets
    Manager."""
    signers: tuple[Ed25519, ...] = ()
    """Public keys whose signature is accepted. Set in the node image, they take the place of those in the tags."""
    directories: Directories = Directories()
    host_files: bool = False
    """Write files outside /etc/ecm, too (units, sysctl): needs root. Otherwise they belong to the node image."""
    tools: Tools = Tools()
    wireguard: WireGuard = WireGuard()
    bird: Bird = Bird()
    health: Health = Health()
    drain_timeout_s: Seconds = 3600
    """After so long a drain that was asked for here counts as done, whatever still flows."""
    intervals: Intervals = Intervals()


def read_settings(path: Path | None) -> Settings:
    """Return the settings in `path`; without one those in /etc/ecm-agent/settings.yaml, or the defaults.

    SettingsError names the file and the field.
    """
    if path is None and not DEFAULT_FILE.exists():
        return Settings()
    path = path or DEFAULT_FILE
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{path}: cannot read the agent's settings: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: not readable as YAML: {str(error).splitlines()[0]}") from None
    try:
        return Settings.model_validate({} if data is None else data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise SettingsError(f"{path}: {where}: {first['msg']}; see ecm agent settings --help") from None
