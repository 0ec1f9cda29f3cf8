"""Tunnel interfaces: exactly those of the document exist, each with its addresses, MTU and flags."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable, Mapping
from typing import Any, Final

from ecm.agent.settings import Settings
from ecm.agent.shell import Shell, ToolError
from ecm.model.document import Device

OURS: Final = re.compile(r"edge[0-9]{1,2}|[du][0-9]{1,3}k[0-3]n[0-9]{1,2}")
_APPEARS_S: Final = 5.0


class Interfaces:
    """The tunnel interfaces of this network namespace."""

    def __init__(self, shell: Shell, settings: Settings) -> None:
        self._shell = shell
        self._ip = settings.tools.ip
        self._userspace = settings.tools.wireguard_go if settings.wireguard.implementation == "userspace" else None
        self._wg = settings.tools.wg

    def links(self) -> dict[str, Mapping[str, Any]]:
        """Return every interface that is ours, as `ip` shows it."""
        rows = json.loads(self._shell.run(self._ip, "-j", "addr", "show") or "[]")
        return {row["ifname"]: row for row in rows if OURS.fullmatch(row.get("ifname", ""))}

    def ensure(self, devices: Iterable[Device]) -> set[str]:
        """Make what is missing, and mend what differs; return the names of those that were made."""
        held, made = self.links(), set()
        for device in devices:
            if device.name not in held:
                self._make(device.name)
                made.add(device.name)
            self._mend(device, held.get(device.name))
        return made

    def remove_others(self, devices: Iterable[Device]) -> None:
        """Remove interfaces of ours that the document does not have."""
        wanted = {d.name for d in devices}
        for name in self.links():
            if name not in wanted:
                self._shell.run(self._ip, "link", "del", name)

    def wrong(self, devices: Iterable[Device]) -> list[str]:
        """Return what is not as the document says."""
        held = self.links()
        return [d.name for d in devices if d.name not in held or not _is_up(held[d.name])]

    def _make(self, name: str) -> None:
        if self._userspace is None:
            self._shell.run(self._ip, "link", "add", name, "type", "wireguard")
            return
        self._shell.launch("env", "LOG_LEVEL=error", self._userspace, name)
        until = time.monotonic() + _APPEARS_S
        while True:
            try:
                self._shell.run(self._wg, "show", name, "listen-port")
                return
            except ToolError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.02)

    def _mend(self, device: Device, held: Mapping[str, Any] | None) -> None:
        if held is None or held.get("mtu") != device.mtu or not _is_up(held) or _multicast(held) != device.multicast:
            flag = "on" if device.multicast else "off"
            self._shell.run(self._ip, "link", "set", device.name, "mtu", str(device.mtu), "multicast", flag, "up")
        wanted = None if device.address is None else (str(device.address), str(device.peer_address))
        addresses = _addresses(held)
        if addresses == ([] if wanted is None else [wanted]):
            return
        if addresses:
            self._shell.run(self._ip, "addr", "flush", "dev", device.name)
        if wanted is not None:
            self._shell.run(self._ip, "addr", "add", wanted[0], "peer", wanted[1], "dev", device.name)


def _is_up(row: Mapping[str, Any]) -> bool:
    return "UP" in row.get("flags", ())


def _multicast(row: Mapping[str, Any]) -> bool:
    return "MULTICAST" in row.get("flags", ())


def _addresses(row: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    if row is None:
        return []
    found = (a for a in row.get("addr_info", ()) if a.get("family") == "inet")
    return [(a.get("local", ""), a.get("address", "")) for a in found]
