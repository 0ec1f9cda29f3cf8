"""A lab from nothing to running, from one plan to the next, and to nothing again."""

from __future__ import annotations

import fcntl
import secrets
import shutil
import sys
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from ecm import render, signing
from ecm.lab.clients import QUIET, connect, new_clients, new_key, peer_tables
from ecm.lab.commands import batch, end, inside, processes, run, spaces
from ecm.lab.errors import LabError
from ecm.lab.kernel import Kernel, survey
from ecm.lab.node import Node, background
from ecm.lab.servers import servers_of
from ecm.lab.state import Condition, Flows, Folder, Lab, nodes, write
from ecm.lab.traffic import FIRST_PORT, PORTS
from ecm.lab.underlay import Underlay, world_cable
from ecm.model.base import digest
from ecm.model.contract import edge_secret, pair_secret
from ecm.model.plan import Desired

_MADE: Final = ("nodes", "bucket", "secrets", "clients", "logs", "recording", "lab.json", "balancer.json", "serial")
"""What a lab's folder holds; nothing else in it is ever removed."""
INTERVALS: Final = {"config_s": 0.5, "keys_s": 5, "clients_s": 0.5, "health_s": 1, "confirm_s": 20}
"""The lab's agents look more often than on EC2, where each look is a paid request; clients' handshakes as often."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Options:
    """What a new lab is made of, beside its plan."""

    templates: Path
    """The project's templates."""
    flows: Flows
    clients: int = 8
    """Of each VPN."""
    assisted: int = 0
    """Of each VPN's clients: those that probe their tunnel."""
    mode: Literal["rehash", "pinned"] = "rehash"


class World:
    """The lab in a folder."""

    def __init__(self, folder: Folder, say: Say = lambda _text: None) -> None:
        self.folder = folder
        self._say = say
        self.left_out: tuple[str, ...] = ()
        """What this kernel lacks of what the configuration asks for, once the lab is up."""

    def up(self, desired: Desired, options: Options) -> Lab:
        """Start the lab for `desired`, or take a running one to it while its traffic flows. Returns what it is then."""
        kernel = survey()
        self.left_out = kernel.left_out
        with self._locked():
            if self.folder.exists() and processes(self.folder.net):
                return self._step(self.folder.read(), desired, (options.templates, kernel))
            self._clear()
            return self._start(desired, options, kernel)

    def down(self) -> bool:
        """End and remove everything of the lab, whatever is left of it; whether there was anything."""
        self.folder.path.mkdir(parents=True, exist_ok=True)
        with self._locked():
            was = self._clear()
        (self.folder.path / "lock").unlink(missing_ok=True)
        with suppress(OSError):
            self.folder.path.rmdir()
        return was

    def node(self, lab: Lab, key: str) -> Node:
        """Return a node by `slot#generation`; LabError that names the nodes when there is no such one."""
        known = nodes(lab.desired)
        if key not in known:
            raise LabError(f"no node {key}: there is {', '.join(sorted(known))}")
        return Node(self.folder, key, known[key][1])

    def publish(self, lab: Lab, templates: Path) -> None:
        """Render the lab's desired state and put it into the bucket, signed, with a serial above the last."""
        rendered = render.configs(_named(lab), peer_tables(lab), templates=templates)
        serial = self._serial() + 1
        key = signing.load_key(self.folder.secrets / "signing.pem")
        signing.publish(self.folder.bucket, rendered.objects, (lab.desired.stack, serial, digest(lab.desired)), key)
        write(self.folder.path / "serial", str(serial).encode())

    def start_balancer(self) -> None:
        """Start the load balancer's process."""
        self._background("balancer")

    def start_traffic(self) -> None:
        """Start the traffic's process."""
        self._background("traffic")

    def _serial(self) -> int:
        path = self.folder.path / "serial"
        return int(path.read_text()) if path.is_file() else 0

    def _background(self, part: str, *words: str, space: str | None = None) -> None:
        command = ["ip", "netns", "exec", space or self.folder.net, sys.executable, "-m", "ecm.lab"]
        log = self.folder.logs / f"{'-'.join([part, *words])}.log"
        background([*command, part, str(self.folder.path), *words], log)

    def _start(self, desired: Desired, options: Options, kernel: Kernel) -> Lab:
        self.folder.path.mkdir(parents=True, exist_ok=True)
        clients = new_clients(self.folder, desired, options.clients, options.assisted)
        lab = Lab(
            desired=desired,
            clients=clients,
            servers=servers_of(desired),
            flows=options.flows,
            mode=options.mode,
        )
        self.folder.write(lab)
        self._make_secrets(desired)
        signing.create_key(self.folder.secrets / "signing.pem")
        self.publish(lab, options.templates)
        underlay = Underlay(self.folder, lab)
        underlay.up()
        self._serve(lab, underlay)
        self._say(f"{len(nodes(desired))} nodes")
        for key in nodes(desired):
            self._add(lab, key, kernel)
        self.start_balancer()
        self._say(f"{len(clients)} clients")
        for client in clients:
            connect(self.folder, lab, client, underlay, kernel)
            if client.assisted:
                self._background("assist", client.id, space=self.folder.client_space(client))
        self.start_traffic()
        return lab

    def _step(self, before: Lab, desired: Desired, given: tuple[Path, Kernel]) -> Lab:
        """Take a running lab to another plan of the same fleet."""
        templates, kernel = given
        was, wanted = nodes(before.desired), nodes(desired)
        kept = {v.id: (v.client_cidr, v.ingress, v.classes) for v in before.desired.vpns}
        if kept != {v.id: (v.client_cidr, v.ingress, v.classes) for v in desired.vpns}:
            raise LabError("the plan has other VPNs than the lab that runs; remove it first: ecm lab down")
        conditions = {key: value for key, value in before.conditions.items() if key in wanted}
        lab = before.model_copy(update={"desired": desired, "conditions": conditions})
        self._make_secrets(desired)
        added = [key for key in wanted if key not in was]
        for key in added:
            self._add(lab, key, kernel)
        self.publish(lab, templates)
        self.folder.write(lab)
        gone = [key for key in was if key not in wanted]
        self._say(f"{len(added)} nodes more, {len(gone)} fewer")
        for key in gone:
            node = Node(self.folder, key, was[key][1])
            node.kill()
            run("ip", "netns", "del", node.space)
            shutil.rmtree(node.disk, ignore_errors=True)
        return lab

    def _add(self, lab: Lab, key: str, kernel: Kernel) -> None:
        node = self.node(lab, key)
        settings = {
            "stack": lab.desired.stack,
            "source": {"folder": str(self.folder.bucket)},
            "secrets": str(self.folder.secrets),
            "signers": [signing.load_key(self.folder.secrets / "signing.pem").public],
            "intervals": INTERVALS,
        }
        node.install(Underlay(self.folder, lab), settings, kernel)
        node.start()

    def renew(self, lab: Lab, key: str, kernel: Kernel) -> None:
        """Boot a node again after its power was cut: everything but its disk is new."""
        node = self.node(lab, key)
        end(node.space)
        run("ip", "netns", "del", node.space, check=False)
        Underlay(self.folder, lab).unplug(node.address)
        self._add(lab, key, kernel)

    def _make_secrets(self, desired: Desired) -> None:
        """Make the keys that on AWS the key job keeps in Secrets Manager, those that are not there yet."""
        self.folder.secrets.mkdir(mode=0o700, parents=True, exist_ok=True)
        wanted = {edge_secret(desired.stack, vpn.ingress): new_key()[0] for vpn in desired.vpns}
        for pair in desired.adjacencies:
            preshared = b64encode(secrets.token_bytes(32)).decode("ascii")
            wanted[pair_secret(desired.stack, pair.upstream, pair.downstream)] = preshared
        for name, value in wanted.items():
            path = self.folder.secrets / name
            if not path.is_file():
                write(path, value.encode(), 0o600)

    def _serve(self, lab: Lab, underlay: Underlay) -> None:
        """Make the application servers' addresses, behind one cable."""
        run("ip", "netns", "add", self.folder.world)
        addresses = sorted({s.address for s in lab.servers})
        underlay.plug(world_cable(self.folder.world), behind=addresses)
        batch(self.folder.world, [f"address add {address}/32 dev lo" for address in addresses])
        quiet = QUIET.format(side="sport", first=FIRST_PORT, last=FIRST_PORT + PORTS - 1)
        inside(self.folder.world, "nft", "-f", "-", stdin=quiet)

    def _clear(self) -> bool:
        """End every process in the lab's namespaces, and remove these and the lab's files."""
        left = spaces(self.folder.prefix)
        end(*left)
        for space in left:
            run("ip", "netns", "del", space, check=False)
        for socket in Path("/var/run/wireguard").glob(f"wg{self.folder.tag}c*.sock"):
            socket.unlink(missing_ok=True)
        was = bool(left)
        for name in _MADE:
            path = self.folder.path / name
            was = was or path.exists()
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        return was

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self.folder.path.mkdir(parents=True, exist_ok=True)
        with (self.folder.path / "lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise LabError(f"another command works on the lab in {self.folder.path}; wait for it") from error
            yield


def with_condition(lab: Lab, key: str, condition: Condition) -> Lab:
    """Return `lab` with what has been done to one node."""
    conditions = {k: v for k, v in lab.conditions.items() if k != key}
    if condition is not Condition.UP:
        conditions[key] = condition
    return lab.model_copy(update={"conditions": conditions})


def _named(lab: Lab) -> Desired:
    """Return the desired state with the lab's own clients in place of the VPNs' real ones."""
    tables = {table.vpn: digest(table) for table in peer_tables(lab)}
    vpns = tuple(v.model_copy(update={"peers": tables[v.id]}) for v in lab.desired.vpns)
    return lab.desired.model_copy(update={"vpns": vpns})
