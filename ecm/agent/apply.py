"""Making a version so: every step is idempotent, in an order in which no packet passes that should not.

The firewall stands before the interfaces; routes move before the interfaces that they leave are removed; a file that
did not change is not given to its daemon again, so that nothing is reset by applying the same version twice.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from ecm.agent import routing, wireguard
from ecm.agent.firewall import Firewall
from ecm.agent.host import Host, kernel_settings
from ecm.agent.interfaces import Interfaces
from ecm.agent.settings import Settings
from ecm.agent.shell import Shell
from ecm.agent.version import Version, VersionError
from ecm.agent.wireguard import Tunnel
from ecm.files import replace
from ecm.model.base import digest_bytes
from ecm.model.document import BIRD_FILE, CLASSES_FILE, LEAVES_FILE, NFTABLES_FILE, SYSCTL_FILE, Document

UNDO_MARGIN_S = 10


@dataclass(frozen=True)
class Loaded:
    """What was given to the daemons last, to know when to do so again."""

    ruleset: str = ""
    """Digest of the text."""
    ruleset_shown: str = ""
    """Digest of what nft shows of it."""
    bird: str = ""


class Machinery:
    """Everything on this machine that a version is made of."""

    def __init__(self, shell: Shell, settings: Settings) -> None:
        self.shell = shell
        self.settings = settings
        self.interfaces = Interfaces(shell, settings)
        self.firewall = Firewall(shell, settings.tools.nft)
        self.bird = routing.Bird(shell, settings)
        self.host = Host(shell, settings)
        self._note = settings.directories.run / "loaded.json"
        self.loaded = self._noted()

    def check(self, version: Version, keys: Mapping[str, str]) -> None:
        """Let the real tools read everything without touching anything; VersionError says which one refused."""
        document = version.document
        for needed in (NFTABLES_FILE, BIRD_FILE):
            if needed not in document.files:
                raise VersionError(f"base.json: {needed} is not among the files")
        kernel_settings(document.files.get(SYSCTL_FILE, ""))
        for name, tunnel in self.tunnels(version, keys).items():
            if tunnel is not None:
                wireguard.check(self.shell, self.settings.tools.wg, name, tunnel)
        self.firewall.check(document.files[NFTABLES_FILE])
        self.bird.check(document.files[BIRD_FILE])

    def tunnels(self, version: Version, keys: Mapping[str, str]) -> dict[str, Tunnel | None]:
        """Return every interface's configuration with the keys in place; None where its private key is missing."""
        document, found = version.document, {}
        for device in document.interfaces:
            tunnel = wireguard.read_file(device.config, document.files[device.config], keys)
            if tunnel is not None and device.kind == "edge":
                tunnel = wireguard.with_clients(tunnel, version.clients)
            found[device.name] = tunnel
        return found

    def apply(self, version: Version, keys: Mapping[str, str], *, draining: bool) -> None:
        """Make `version` so; A ToolError leaves a part done, which applying any version mends."""
        document = version.document
        changed = self.host.write(files(document, draining=draining))
        self._load_firewall(document.files[NFTABLES_FILE])
        self.host.set_kernel(document)
        made = self.interfaces.ensure(document.interfaces)
        self.sync_keys(version, keys)
        routing.sync_rules(self.shell, self.settings.tools.ip, document.rules)
        if made or changed & {CLASSES_FILE, LEAVES_FILE}:
            self.host.shape(document)
        self.route(document, draining=draining)
        self.interfaces.remove_others(document.interfaces)

    def sync_keys(self, version: Version, keys: Mapping[str, str]) -> bool:
        """Give every interface its keys and peers; return whether any changed."""
        changed = False
        for name, tunnel in self.tunnels(version, keys).items():
            if tunnel is not None:
                changed |= wireguard.sync(self.shell, self.settings.tools.wg, name, tunnel)
        return changed

    def route(self, document: Document, *, draining: bool) -> bool:
        """Give BIRD its configuration where it differs or BIRD started anew; return whether BIRD answers."""
        text = routing.draining(document.files[BIRD_FILE], on=draining)
        file = self.host.path(BIRD_FILE)
        ran = self.bird.answers()
        if not ran and not self.bird.ensure(file):
            return False
        digest = digest_bytes(text.encode())
        if ran and self.loaded.bird != digest:
            self.bird.configure(file, int(self.settings.intervals.confirm_s) + UNDO_MARGIN_S)
        self._remember(Loaded(self.loaded.ruleset, self.loaded.ruleset_shown, digest))
        return True

    def _load_firewall(self, text: str) -> None:
        digest = digest_bytes(text.encode())
        shown = self.firewall.digest()
        if self.loaded.ruleset == digest and shown is not None and shown == self.loaded.ruleset_shown:
            return
        self._remember(Loaded(digest, self.firewall.load(text), self.loaded.bird))

    def _noted(self) -> Loaded:
        """Return what the agent that ran here before had loaded: a restart of the agent loads nothing again."""
        try:
            return Loaded(**json.loads(self._note.read_bytes()))
        except (OSError, ValueError, TypeError):
            return Loaded()

    def _remember(self, loaded: Loaded) -> None:
        self.loaded = loaded
        replace(self._note, json.dumps(asdict(loaded)).encode(), 0o600)

    def firewall_stands(self) -> bool:
        """Return whether the loaded ruleset is the one that was loaded."""
        return bool(self.loaded.ruleset_shown) and self.firewall.digest() == self.loaded.ruleset_shown


def files(document: Document, *, draining: bool) -> dict[str, str]:
    """Return the document's files as they are written: a drain turns BIRD's switch."""
    bird = routing.draining(document.files[BIRD_FILE], on=draining)
    return {**document.files, BIRD_FILE: bird}
