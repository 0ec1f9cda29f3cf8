"""Looks at a root file system at rest and as it runs; every finding says what is wrong, and what was seen."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from ecm.image.boot import Booted
from ecm.image.recipe import Recipe
from ecm.image.root import AGENT_PATH, installed, wrong_versions
from ecm.model.base import Frozen

AGENT_USER = "ecm-agent"
_SETUP_FAILED = range(200, 244)
"""Exit codes by which systemd says that it could not even start the program (user, namespaces, capabilities, ...)."""
_SECRET = re.compile(
    rb"-----BEGIN [A-Z ]*PRIVATE KEY-----|\bAKIA[0-9A-Z]{16}\b|^(?:PrivateKey|PresharedKey) *= *[A-Za-z0-9+/]{43}=",
    re.MULTILINE,
)
_SEARCHED = ("etc", "root", "home", "opt/ecm/ecm", "var/lib", "srv")
_FETCHES = re.compile(r"^\s*ExecStart\w*=.*\b(?:apt(?:-get)?|pip3?|curl|wget|git|snap)\b", re.MULTILINE)
_STARTING_S = 2
"""From the start of the agent's unit to a look at its process."""
_CAPABILITIES = {"net_admin": 12}


class Finding(Frozen):
    """One check."""

    check: str
    ok: bool
    seen: str


def check_files(root: Path, recipe: Recipe) -> list[Finding]:
    """Return what the files of a root file system show: versions, absences, secrets, units, accounts."""
    found = installed(root)
    there = sorted(set(recipe.absent) & set(found))
    machine_id = (root / "etc/machine-id").read_text(encoding="utf-8").strip()
    return [
        _finding(
            "packages have the recipe's versions",
            wrong_versions(recipe, found),
            f"{len(recipe.packages)} of {len(found)} are named",
        ),
        _finding("no way in beside Session Manager", there, f"none of {', '.join(recipe.absent)}"),
        _finding("no secret", sorted(_secrets(root)), f"searched {', '.join(_SEARCHED)}"),
        _finding("no enabled unit fetches anything", sorted(_fetching(root)), "no package tool in any enabled unit"),
        _finding("no identity that two nodes would share", [machine_id] if machine_id else [], "machine-id is empty"),
        _finding("no account has a password", _passwords(root), "every account is locked"),
    ]


def check_programs(root: Path, recipe: Recipe) -> list[Finding]:
    """Return what the programs of a root file system say, run in it without a network; needs root."""
    return [_tool_findings(root, recipe), _verified(root), _agent(root)]


def check_running(node: Booted) -> list[Finding]:
    """Return what the booted node shows, without any network: units, the agent's user and rights, open ports."""
    failed = node.run("systemctl", "list-units", "--failed", "--no-legend", "--plain").stdout.split("\n")
    names = [line.split()[0] for line in failed if line.strip()]
    ours = [n for n in names if n.startswith(("ecm-", "bird", "systemd-networkd", "systemd-sysctl"))]
    listening = node.run("ss", "-Hlntu").stdout.splitlines()
    outside = [line for line in listening if not re.search(r"\s(?:127\.|\[::1\])", line)]
    return [
        _finding("boots without any network", [], node.run("systemctl", "is-system-running").stdout.strip()),
        _finding("no unit of the node failed", ours, f"failed elsewhere: {', '.join(names) or 'none'}"),
        _finding("nothing listens", outside, "no TCP or UDP port beside loopback's"),
        _agent_runs(node),
    ]


def _finding(check: str, wrong: Iterable[str], otherwise: str) -> Finding:
    listed = list(wrong)
    return Finding(check=check, ok=not listed, seen="; ".join(listed) or otherwise)


def _secrets(root: Path) -> Iterator[str]:
    for part in _SEARCHED:
        for path in (p for p in (root / part).rglob("*") if p.is_file() and not p.is_symlink()):
            if path.stat().st_size < 1_000_000 and _SECRET.search(path.read_bytes()):
                yield f"/{path.relative_to(root)}"


def _fetching(root: Path) -> Iterator[str]:
    for link in (root / "etc/systemd/system").rglob("*.wants/*"):
        target = link.readlink() if link.is_symlink() else link
        path = root / str(target).lstrip("/")
        if path.is_file() and _FETCHES.search(path.read_text(encoding="utf-8", errors="replace")):
            yield link.name


def _passwords(root: Path) -> list[str]:
    rows = (line.split(":") for line in (root / "etc/shadow").read_text(encoding="utf-8").splitlines())
    return [f"{row[0]} has one" for row in rows if row[1][:1] not in ("*", "!")]


def _inside(root: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command in the root file system, without a network."""
    argv = ["unshare", "--net", "chroot", str(root), *command]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)


def _tool_findings(root: Path, recipe: Recipe) -> Finding:
    wrong: list[str] = []
    said: list[str] = []
    for name, command in sorted(recipe.tools.items()):
        done = _inside(root, *command)
        first = (done.stdout + done.stderr).strip().partition("\n")[0]
        (said if done.returncode == 0 else wrong).append(f"{name}: {first[:60] or done.returncode}")
    return _finding("every tool of the agent runs", wrong, "; ".join(said))


def _verified(root: Path) -> Finding:
    units = [f"/etc/systemd/system/{p.name}" for p in sorted((root / "etc/systemd/system").glob("ecm-*.*"))]
    done = _inside(root, "systemd-analyze", "verify", "--man=no", *units, "bird.service", "chrony.service")
    wrong = [line.strip() for line in done.stderr.splitlines() if "ecm-" in line or "bird" in line]
    return _finding("units verify", wrong, f"{len(units)} units and the settings of bird")


def _agent(root: Path) -> Finding:
    """Start the agent's own command as its user, with no capability and no network."""
    command = ("setpriv", f"--reuid={AGENT_USER}", f"--regid={AGENT_USER}", "--init-groups", "--bounding-set=-all")
    done = _inside(root, *command, "env", f"PYTHONPATH=/{AGENT_PATH}", "PYTHONDONTWRITEBYTECODE=1",
                   "python3", "-m", "ecm.cli", "agent", "settings")  # fmt: skip
    wrong = [] if done.returncode == 0 else [(done.stderr.strip().splitlines() or [str(done.returncode)])[-1]]
    return _finding("the agent runs as its user", wrong, f"ecm agent settings, as {AGENT_USER}")


def _agent_runs(node: Booted) -> Finding:
    """Start the agent's unit: without EC2's tags it has nothing to do, but has to be its user's with its rights."""
    node.run("systemctl", "restart", "--no-block", "ecm-agent.service")
    time.sleep(_STARTING_S)
    shown = node.run("systemctl", "show", "ecm-agent.service", "-p", "User,ExecMainStatus,MainPID,NRestarts").stdout
    facts = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
    status = int(facts.get("ExecMainStatus") or 0)
    wrong = [] if facts.get("User") == AGENT_USER else [f"its unit's user is {facts.get('User') or 'root'}"]
    if status in _SETUP_FAILED:
        wrong.append(f"systemd could not start it: exit code {status}")
    pid = facts.get("MainPID", "0")
    held = node.run("grep", "-E", "^(Uid|CapEff)", f"/proc/{pid}/status").stdout if pid != "0" else ""
    rights = re.search(r"CapEff:\s*([0-9a-f]+)", held)
    if rights and int(rights[1], 16) & ~(1 << _CAPABILITIES["net_admin"]):
        wrong.append(f"it holds more than CAP_NET_ADMIN: {rights[1]}")
    seen = f"as {AGENT_USER}, " + (
        f"capabilities {rights[1]}" if rights else f"ended with {status} for want of EC2's tags"
    )
    return _finding("the agent's unit starts it", wrong, seen)
