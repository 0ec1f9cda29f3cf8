"""Boots a root file system as a node of its own: systemd in namespaces, without a network or the host's clock.

What EC2 adds is the kernel and the network; everything else is the very root file system of the image.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ecm.image.recipe import ImageError

# The host's own settings stay as they are: /sys and /proc/sys are read-only but for the node's own network, and the
# capabilities that reach beyond the namespaces (clock, modules, kernel log, restart) are gone before systemd starts.
_INSIDE: Final = """
set -e
R=$0
mount --make-rprivate /
mount -t overlay overlay -o lowerdir="$R",upperdir="$1/upper",workdir="$1/work" "$1/root"
R=$1/root
mount -t proc proc "$R/proc"
mount --bind "$R/proc/sys" "$R/proc/sys" && mount -o remount,bind,ro "$R/proc/sys"
mount -t sysfs -o ro sysfs "$R/sys"
mount -t cgroup2 cgroup2 "$R/sys/fs/cgroup"
mount -t tmpfs -o mode=0755 tmpfs "$R/run"
mount -t tmpfs tmpfs "$R/tmp"
mount -t tmpfs -o mode=0755 tmpfs "$R/dev"
for d in null zero full random urandom tty net/tun; do
    [ -e "/dev/$d" ] || continue
    mkdir -p "$R/dev/${d%/*}" 2>/dev/null || true
    [ "${d%/*}" = "$d" ] && rmdir "$R/dev/$d" 2>/dev/null || true
    : > "$R/dev/$d"
    mount --bind "/dev/$d" "$R/dev/$d"
done
mkdir "$R/dev/pts" "$R/dev/shm"
ln -s /proc/self/fd "$R/dev/fd"
cd "$R"
mkdir -p .old
pivot_root . .old
umount -l /.old
rmdir /.old
exec env -i container=ecm-image PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    setpriv --bounding-set -sys_time,-sys_module,-sys_boot,-syslog,-mknod,-mac_admin,-sys_rawio,-wake_alarm \
    /lib/systemd/systemd systemd.unit=multi-user.target
"""
_OUTSIDE: Final = """
set -e
echo $$ > "$3/cgroup.procs"
mount -t tmpfs tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/root"
exec unshare --mount --pid --net --uts --ipc --cgroup --fork --kill-child sh -c "$2" "$0" "$1"
"""
_READY_S: Final = 90


@dataclass(frozen=True)
class Booted:
    """A node that runs."""

    pid: int
    """Of its systemd, in the host's count."""

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the node."""
        inside = ["nsenter", "--target", str(self.pid), "--all", "--", *command]
        return subprocess.run(inside, capture_output=True, text=True, timeout=60, check=False)


@contextmanager
def booted(root: Path, scratch: Path) -> Iterator[Booted]:
    """Boot `root` and yield it once systemd has started everything; it is gone afterwards, and `root` unchanged.

    What the node writes goes below `scratch`. ImageError where this machine cannot do it, or systemd does not come up.
    """
    missing = [t for t in ("unshare", "nsenter", "setpriv") if shutil.which(t) is None]
    if missing or os.geteuid() != 0:
        raise ImageError(f"booting an image needs root, and {', '.join(missing) or 'nothing else'}")
    group = _cgroup(scratch.name)
    scratch.mkdir(parents=True)
    # An overlay must not lie on an overlay: the node's own writes are kept in memory.
    process = subprocess.Popen(
        ["sh", "-c", _OUTSIDE, str(root.resolve()), str(scratch.resolve()), _INSIDE, str(group)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield _ready(process)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=30)
        subprocess.run(["umount", "-l", str(scratch)], capture_output=True, check=False)
        _remove(group)


def _cgroup(name: str) -> Path:
    hierarchy = next((p for p in (Path("/sys/fs/cgroup/unified"), Path("/sys/fs/cgroup")) if _is_v2(p)), None)
    if hierarchy is None:
        raise ImageError("booting an image needs control groups of version 2 at /sys/fs/cgroup")
    group = hierarchy / f"ecm-image-{os.getpid()}-{name}"
    group.mkdir(exist_ok=True)
    return group


def _is_v2(path: Path) -> bool:
    return (path / "cgroup.controllers").exists()


def _remove(group: Path) -> None:
    """Remove a control group with those below it, as soon as their processes are gone."""
    for _ in range(100):
        try:
            for part in sorted(group.rglob("*/"), key=lambda p: -len(p.parts)):
                part.rmdir()
            group.rmdir()
        except FileNotFoundError:
            return
        except OSError:
            time.sleep(0.05)
        else:
            return


def _ready(process: subprocess.Popen[str]) -> Booted:
    deadline = time.monotonic() + _READY_S
    state = "has not answered"
    while time.monotonic() < deadline:
        if process.poll() is not None:
            said = process.stderr.read() if process.stderr else ""
            raise ImageError(f"the image did not boot: {' / '.join(said.strip().splitlines()[-3:]) or 'systemd ended'}")
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        if children:
            node = Booted(int(children[0]))
            state = node.run("systemctl", "is-system-running").stdout.strip()
            if state in ("running", "degraded"):
                return node
        time.sleep(0.2)
    raise ImageError(f"the image did not boot within {_READY_S} s: systemd {state}")
