"""The running agent: a thread each for source, node, clients, dead neighbours and reports, and the two servers."""

from __future__ import annotations

import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from ecm.agent import measure, routing
from ecm.agent.apply import Machinery
from ecm.agent.choosing import Choices
from ecm.agent.cloud import connect, meter
from ecm.agent.feed import Feed
from ecm.agent.hasten import Haste
from ecm.agent.identity import Known
from ecm.agent.keys import SharedKeys
from ecm.agent.node import Node
from ecm.agent.overlay import Overlays
from ecm.agent.probe import Prober, probes
from ecm.agent.pull import Puller
from ecm.agent.report import Reporter
from ecm.agent.returns import ReturnRoutes
from ecm.agent.server import ControlServer, HealthServer, json_page, metrics_page
from ecm.agent.shell import Machine, Shell, ToolError
from ecm.agent.state import State
from ecm.agent.version import VersionError

_RTMGRP_IPV4_ROUTE: Final = 0x40
_TICK_S: Final = 0.25


def _epoch() -> float:
    return time.time()  # noqa: TID251 - an entry point: here the clock is read


class Agent:
    """Everything of one node, from `start` to `stop`."""

    def __init__(self, known: Known, shell: Shell | None = None) -> None:
        settings = known.settings
        settings.directories.run.mkdir(mode=0o700, parents=True, exist_ok=True)
        state = State(settings.directories.state)
        source, secrets = connect(settings)
        puller = Puller(source, known.who, settings.signers, state.accepted())
        self._settings = settings
        self._state = state
        self._machinery = Machinery(shell or Machine(), settings)
        self._feed = Feed(source, SharedKeys(secrets, settings.directories.run), puller, state)
        self._node = Node(settings, state, self._feed, self._machinery)
        self._overlays = Overlays(source, state, settings.signers)
        self._choices = Choices(self._machinery.firewall, self._overlays)
        self._reporter = Reporter(source, known.who, state)
        cloud = meter(settings)
        self._prober = Prober(cloud) if cloud is not None else None
        self._measured = measure.Measured.new()
        self._routes: ReturnRoutes | None = None
        self._turn = threading.Lock()
        """Held by whoever uses the machinery."""
        self._stopping = threading.Event()
        self._wake, self._waker = socket.socketpair()
        self._health: HealthServer | None = None
        self._told = ""

    def run(self) -> None:
        """Run until a signal to stop; what was set up stays as it is."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.stop())
        control = ControlServer(self._settings.directories.run, self.command)
        for work in (
            self._feed_forever,
            self._overlays_forever,
            self._clients_forever,
            self._haste_forever,
            self._report_forever,
            *([self._probe_forever] if self._prober else []),
        ):
            threading.Thread(target=self._guarded(work), name=work.__name__, daemon=True).start()
        try:
            self._node_forever()
        finally:
            control.close()
            if self._health is not None:
                self._health.close()

    def stop(self) -> None:
        """End the run."""
        self._stopping.set()
        self._nudge()

    def command(self, word: str) -> Mapping[str, Any]:
        """Answer the local socket."""
        if word in ("drain", "undrain"):
            since = self._state.draining_since()
            if word == "undrain" or since is None:
                self._state.set_draining(_epoch() if word == "drain" else None)
            self._nudge()
        elif word == "retry":
            with self._turn:
                self._node.retry()
            self._nudge()
        elif word != "status":
            return {"error": f"unknown command {word[:20]!a}"}
        return self.status()

    def status(self) -> dict[str, Any]:
        """Return the node's whole state."""
        found = self._node.status()
        since = self._state.draining_since()
        routes = self._routes
        found["drain"] = None
        if since is not None:
            waited = _epoch() - since
            empty = routes is not None and not routes.claims
            found["drain"] = {
                "since_s": round(waited, 1),
                "done": empty or waited >= self._settings.drain_timeout_s,
            }
        version = self._node.current
        if version is not None and version.document.overlay is not None:
            found["overlay"] = self._choices.status(_epoch())
        if routes is not None:
            found["clients"] = {"routes": len(routes.claims), "known": len(routes.heard)}
        told = {"report": self._reporter.problem, "probe": self._prober.problem if self._prober else ""}
        found["problems"] = {**found["problems"], **{where: [text] for where, text in told.items() if text}}
        return found

    def _node_forever(self) -> None:
        with self._turn:
            self._node.start(time.monotonic())
        looked = float("-inf")
        while not self._stopping.is_set():
            now = time.monotonic()
            with self._turn:
                before = self._node.current
                if before is not None and self._feed.offered.version not in (None, before):
                    self._measured.read(self._machinery, before.document)
                self._node.step(now)
                if self._node.current is not before:
                    looked = float("-inf")
                self._choose(look=now - looked >= self._settings.intervals.health_s)
                if now - looked >= self._settings.intervals.health_s:
                    looked = now
                    why = self._node.look(now).why
                    self._tell(" | ".join(filter(None, (why, self._node.last_error))))
            self._serve()
            self._follow_clients()
            self._sleep(_TICK_S)

    def _choose(self, *, look: bool) -> None:
        """Let new flows take what the overlay chooses; a fault of the tool is tried again at the next turn."""
        version = self._node.current
        if version is None:
            return
        try:
            if look or self._choices.unseen:
                self._choices.look(version.document, self._has_default)
            self._choices.follow(version.document, _epoch())
        except (ToolError, VersionError) as error:
            self._tell(f"choices: {error}")

    def _has_default(self, table: int) -> bool:
        return routing.has_default(self._machinery.shell, self._settings.tools.ip, table)

    def _overlays_forever(self) -> None:
        while not self._stopping.is_set():
            version = self._node.current
            if version is not None and self._overlays.pull(version.document, _epoch()):
                self._nudge()
            self._stopping.wait(self._settings.intervals.overlay_s)

    def _feed_forever(self) -> None:
        while not self._stopping.is_set():
            current = self._node.current
            document = current.document if current else None
            if self._feed.turn(time.monotonic(), self._settings, document):
                self._nudge()
            self._stopping.wait(min(0.5, self._settings.intervals.config_s))

    def _report_forever(self) -> None:
        while not self._stopping.is_set():
            self._reporter.turn(time.monotonic(), self._node, _epoch)
            self._stopping.wait(1)

    def _probe_forever(self) -> None:
        prober = self._prober
        while prober is not None and not self._stopping.is_set():
            now, version = time.monotonic(), self._node.current
            if version is not None and prober.is_due(now):
                document = version.document
                with self._turn:
                    found = probes(document, self._node.health, self._has_default)
                prober.write(now, document.node.stack, found)
            self._stopping.wait(1)

    def _haste_forever(self) -> None:
        """Let BIRD leave dead neighbours at once, but read nothing that is on trial."""
        Haste(self._settings.bird.socket, lambda: self._node.trial is None).watch(self._stopping)

    def _clients_forever(self) -> None:
        """Look at handshakes every half second, and at once when BIRD has told of a sibling's claim."""
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as events:
            events.bind((0, _RTMGRP_IPV4_ROUTE))
            events.setblocking(False)
            while not self._stopping.is_set():
                ready, _, _ = select.select([events], [], [], self._settings.intervals.clients_s)
                if ready:
                    time.sleep(0.02)  # a claim comes as several events
                    _drop(events)
                routes = self._routes
                if routes is not None:
                    routes.look(int(_epoch()))

    def _follow_clients(self) -> None:
        """Let the clients' thread work on the peer table in use."""
        version = self._node.current
        if version is None or version.document.clients is None:
            self._routes = None
            return
        clients = version.document.clients
        if self._routes is None:
            self._routes = ReturnRoutes(self._machinery.shell, self._settings.tools, clients, version.clients)
        else:
            self._routes.replace_clients(clients, version.clients)

    def _serve(self) -> None:
        """Answer on the node's private address as soon as a document says which one that is."""
        version = self._node.current
        if self._health is not None or version is None:
            return
        document = version.document
        address = self._settings.health.address or str(document.node.private_ip)
        port = self._settings.health.port or document.health.port
        pages = {
            document.health.path: self._health_page,
            "/path": lambda: json_page(200, {"path": self._node.health.has_path}),
            "/status": lambda: json_page(200, self.status()),
            "/metrics": self._metrics_page,
        }
        try:
            self._health = HealthServer((address, port), pages)
        except OSError as error:
            self._tell(f"cannot answer on {address}:{port}: {error.strerror}")

    def _health_page(self) -> tuple[int, str, str]:
        health = self._node.health
        return (200, "text/plain", "ok\n") if health.healthy else (503, "text/plain", f"{health.why}\n")

    def _metrics_page(self) -> tuple[int, str, str]:
        with self._turn:
            text = measure.page(self._node, self._machinery, self._measured, self._routes, int(_epoch()))
            version = self._node.current
            if version is not None and version.document.overlay is not None:
                text += measure.choices_page(self._choices.status(_epoch()), version.document.node.vpn)
        return metrics_page(text)

    def _guarded(self, work: Callable[[], None]) -> Callable[[], None]:
        """Return `work` begun again when it ends by a fault: one bad answer must not silence the node."""

        def forever() -> None:
            while not self._stopping.is_set():
                try:
                    work()
                except Exception as error:
                    self._tell(f"{work.__name__}: {error}")
                    self._stopping.wait(1)

        return forever

    def _tell(self, text: str) -> None:
        """Write to the journal what has changed since the last line."""
        if text != self._told:
            self._told = text
            sys.stderr.write(f"{text or 'healthy'}\n")
            sys.stderr.flush()

    def _nudge(self) -> None:
        self._waker.send(b".")

    def _sleep(self, seconds: float) -> None:
        if select.select([self._wake], [], [], seconds)[0]:
            self._wake.recv(4096)


def _drop(events: socket.socket) -> None:
    """Read and forget what has come: the routes themselves are read anew."""
    try:
        while events.recv(65536):
            pass
    except OSError:  # nothing is left, or the queue ran over: either way the table is read now
        return
