"""Kernel settings, queues and the files of a version."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Final

from ecm.agent.settings import Settings
from ecm.agent.shell import Shell, ToolError
from ecm.agent.version import HOST_FILES, VersionError
from ecm.files import replace
from ecm.model.document import CLASSES_FILE, LEAVES_FILE, SYSCTL_FILE, Document

_SETTING: Final = re.compile(r"([a-z]+(?:\.[a-z0-9_]+)+) = ([ -~]{1,200})")
_ROOT: Final = re.compile(r"qdisc replace dev (\S+) root ")
_NO_SUCH_QUEUE: Final = ("qdisc kind is unknown", "Specified qdisc", "No such file or directory")


def kernel_settings(text: str) -> dict[str, str]:
    """Return the settings of a sysctl file; VersionError for a line that is none."""
    found = {}
    for line in (raw.strip() for raw in text.splitlines()):
        if not line or line.startswith("#"):
            continue
        match = _SETTING.fullmatch(line)
        if match is None:
            raise VersionError(f"{SYSCTL_FILE}: {line[:60]!a} is no kernel setting")
        found[match[1]] = match[2]
    return found


class Host:
    """The node's files, kernel settings and queues."""

    def __init__(self, shell: Shell, settings: Settings) -> None:
        self._shell = shell
        self._settings = settings
        self.left_out: tuple[str, ...] = ()
        """What this kernel, or this user, cannot do."""

    def path(self, name: str) -> Path:
        """Return where the document's file `name` is written."""
        return self._settings.directories.root / name.removeprefix("/")

    def write(self, files: dict[str, str]) -> set[str]:
        """Write the files that differ, and return their names; those with keys are never written."""
        changed = set()
        for name, text in files.items():
            if name.startswith("/etc/ecm/wireguard/") or (name in HOST_FILES and not self._settings.host_files):
                continue
            path = self.path(name)
            try:
                same = path.read_bytes() == text.encode()
            except OSError:
                same = False
            if not same:
                path.parent.mkdir(parents=True, exist_ok=True)
                replace(path, text.encode(), 0o644)
                changed.add(name)
        return changed

    def set_kernel(self, document: Document) -> None:
        """Set what differs of the network's settings; others are the machine's, and the node image sets them."""
        left = []
        for name, value in kernel_settings(document.files.get(SYSCTL_FILE, "")).items():
            path = self._settings.directories.proc_sys / name.replace(".", "/")
            try:
                if path.read_text().split() == value.split():
                    continue
                if name.startswith("net."):
                    path.write_text(value)
                else:
                    left.append(f"{name}: not {value}; it is the node image's")
            except OSError as error:
                left.append(f"{name}: {error.strerror}")
        self.left_out = tuple(left)

    def shape(self, document: Document) -> None:
        """Set the classes of every interface, and their queues where the kernel knows fq_codel."""
        left = []
        for name in (CLASSES_FILE, LEAVES_FILE):
            text = document.files.get(name, "")
            if not text.strip():
                continue
            try:
                self._shell.run(self._settings.tools.tc, "-batch", "-", stdin=self._without_roots(text))
            except ToolError as error:
                if not any(words in error.said for words in _NO_SUCH_QUEUE):
                    raise
                left.append(f"{name}: {error.said.strip().splitlines()[0]}")
                break
        self.left_out = (*self.left_out, *left)

    def _without_roots(self, text: str) -> str:
        """Return a batch for `tc` without the roots that stand: Linux replaces no HTB root by another."""
        rows = json.loads(self._shell.run(self._settings.tools.tc, "-j", "qdisc", "show").strip() or "[]")
        held = {row.get("dev") for row in rows if row.get("kind") == "htb" and row.get("root")}
        lines = (line for line in text.splitlines() if not (match := _ROOT.match(line)) or match[1] not in held)
        return "".join(f"{line}\n" for line in lines)
