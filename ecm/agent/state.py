"""What outlives a restart of the agent: the last good version, what was refused, the serial, a drain, when it began."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ecm.agent.pull import Accepted
from ecm.agent.version import Version
from ecm.files import replace


@dataclass(frozen=True)
class AcceptedOverlay:
    """The newest overlay that this node has accepted: older ones are replays."""

    under: str
    """Digest of the VPN and the signers that it was accepted for."""
    serial: int
    digest: str


class State:
    """Files in one folder that is the agent's alone, each written in one step; a damaged one counts as absent."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    @property
    def node_key(self) -> Path:
        """Where the node's private key lies."""
        return self.folder / "node.key"

    def good(self) -> Version | None:
        """Return the last version that was confirmed."""
        held = self._read("good.json")
        try:
            peers = held["peers"]
            version = Version(
                int(held["serial"]), str(held["base"]).encode(), None if peers is None else str(peers).encode()
            )
            intact = version.digest == held["digest"]
        except (KeyError, TypeError, ValueError):
            return None
        return version if intact else None

    def set_good(self, version: Version) -> None:
        """Keep a version that was confirmed, and forget that it was on trial."""
        peers = None if version.peers is None else version.peers.decode()
        good = {"serial": version.serial, "digest": version.digest, "base": version.base.decode(), "peers": peers}
        self._write("good.json", good)
        self.end_trial()

    def accepted(self) -> Accepted | None:
        """Return the newest manifest that was accepted."""
        held = self._read("accepted.json")
        try:
            return Accepted(int(held["serial"]), str(held["plan"]))
        except (KeyError, TypeError, ValueError):
            return None

    def set_accepted(self, accepted: Accepted) -> None:
        """Keep the newest manifest's serial."""
        self._write("accepted.json", {"serial": accepted.serial, "plan": accepted.plan})

    def accepted_overlay(self) -> AcceptedOverlay | None:
        """Return the newest overlay that was accepted."""
        held = self._read("overlay.json")
        try:
            return AcceptedOverlay(str(held["under"]), int(held["serial"]), str(held["digest"]))
        except (KeyError, TypeError, ValueError):
            return None

    def set_accepted_overlay(self, accepted: AcceptedOverlay) -> None:
        """Keep the newest overlay's serial."""
        self._write("overlay.json", asdict(accepted))

    def on_trial(self) -> str | None:
        """Return the digest of the version that is applied and not confirmed; after a crash that one is to blame."""
        found = self._read("trial.json").get("digest")
        return found if isinstance(found, str) else None

    def begin_trial(self, digest: str) -> None:
        """Remember a version before it touches anything."""
        self._write("trial.json", {"digest": digest})

    def end_trial(self) -> None:
        """Forget the version on trial."""
        (self.folder / "trial.json").unlink(missing_ok=True)

    def refused(self) -> dict[str, str]:
        """Return why versions failed here, by digest: they are not tried again."""
        return {str(k): str(v) for k, v in self._read("refused.json").items()}

    def refuse(self, digest: str, why: str) -> None:
        """Remember that a version failed; the last few are kept."""
        kept = {k: v for k, v in self.refused().items() if k != digest}
        self._write("refused.json", dict([*kept.items(), (digest, why)][-16:]))

    def forget_refusals(self) -> None:
        """Let every version be tried again."""
        (self.folder / "refused.json").unlink(missing_ok=True)

    def draining_since(self) -> float | None:
        """Return when a drain was asked for here, in seconds of the epoch."""
        found = self._read("drain.json").get("since")
        return float(found) if isinstance(found, (int, float)) else None

    def set_draining(self, since: float | None) -> None:
        """Keep a drain, or end it."""
        if since is None:
            (self.folder / "drain.json").unlink(missing_ok=True)
        else:
            self._write("drain.json", {"since": since})

    def healthy_at(self) -> float | None:
        """Return when everything was right for the first time, in seconds of the epoch."""
        found = self._read("healthy.json").get("at")
        return float(found) if isinstance(found, (int, float)) else None

    def set_healthy_at(self, at: float) -> None:
        """Keep when everything was right for the first time."""
        self._write("healthy.json", {"at": at})

    def _read(self, name: str) -> dict[str, Any]:
        try:
            data = json.loads((self.folder / name).read_bytes())
        except (OSError, ValueError):
            return {}
        return data if isinstance(data, dict) else {}

    def _write(self, name: str, value: dict[str, Any]) -> None:
        replace(self.folder / name, json.dumps(value).encode(), 0o600)
        handle = os.open(self.folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
