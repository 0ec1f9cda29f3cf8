"""What this machine offers to the lab, and what it lacks."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ecm.lab.commands import run
from ecm.lab.errors import LabError

PACKAGES: Final = {
    "bird": "bird2",
    "birdc": "bird2",
    "conntrack": "conntrack",
    "ip": "iproute2",
    "nft": "nftables",
    "nsenter": "util-linux",
    "sysctl": "procps",
    "tc": "iproute2",
    "unshare": "util-linux",
    "wg": "wireguard-tools",
}
"""Programs that the lab runs, with the Debian package that has each."""
_SYSTEM_PATHS: Final = "/usr/local/sbin:/usr/sbin:/sbin"


@dataclass(frozen=True)
class Kernel:
    """What the lab found."""

    kernel_wireguard: bool
    """Tunnels are the kernel's; else each is a wireguard-go process."""
    left_out: tuple[str, ...]
    """What the rendered configuration asks for and this kernel lacks."""


def missing() -> tuple[str, ...]:
    """Return what keeps the lab from running here, as sentences; none: it can run."""
    if sys.platform != "linux":
        return ("the lab needs Linux: its nodes are network namespaces",)
    found = []
    if os.geteuid() != 0:
        found.append("needs root: it makes network and mount namespaces (or run it in a privileged container)")
    lacking = sorted({package for program, package in PACKAGES.items() if which(program) is None})
    if which("wireguard-go") is None and not _kernel_has("wireguard"):
        lacking.append("wireguard-go")
    if lacking:
        found.append(f"not installed: {', '.join(lacking)} (Debian: apt-get install {' '.join(lacking)})")
    if not Path("/dev/net/tun").exists():
        found.append("/dev/net/tun is missing: wireguard-go needs it")
    return tuple(found)


def which(program: str) -> str | None:
    """Return the path of a program, also where administrators' programs lie."""
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:{_SYSTEM_PATHS}")


def survey() -> Kernel:
    """Return what the lab found; LabError that names everything that is missing."""
    lacking = missing()
    if lacking:
        raise LabError("the lab cannot run here\n    " + "\n    ".join(lacking))
    os.environ["PATH"] = f"{os.environ.get('PATH', '')}:{_SYSTEM_PATHS}"
    wireguard = _kernel_has("wireguard")
    left_out = []
    if not wireguard:
        left_out.append("kernel WireGuard: every tunnel is a wireguard-go process")
    if not _has_queue("fq_codel"):
        left_out.append("fq_codel: classes keep plain queues")
    left_out.append("security groups, address translation of the internet gateway: the node's own firewall is alone")
    return Kernel(wireguard, tuple(left_out))


def _scratch() -> str:
    return f"ecmlab-probe-{os.getpid()}"


def _kernel_has(kind: str) -> bool:
    space = _scratch()
    if which("ip") is None or os.geteuid() != 0:
        return False
    run("ip", "netns", "add", space)
    try:
        run("ip", "-n", space, "link", "add", "probe", "type", kind)
    except LabError:
        return False
    finally:
        run("ip", "netns", "del", space, check=False)
    return True


def _has_queue(kind: str) -> bool:
    space = _scratch()
    run("ip", "netns", "add", space)
    try:
        run("tc", "-n", space, "qdisc", "replace", "dev", "lo", "root", kind)
    except LabError:
        return False
    finally:
        run("ip", "netns", "del", space, check=False)
    return True
