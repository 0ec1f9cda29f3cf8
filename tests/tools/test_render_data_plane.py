"""Packets through a rendered chain: the right tiers, nothing else, drain without a break, and failover."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from ecm.model.plan import NodeState
from tests.tools.chain_of_namespaces import SERVER, Chain, chain_of_namespaces
from tests.tools.namespaces import need, until
from tests.unit.render_states import documents, render, three_tiers, with_state

pytestmark = [pytest.mark.tools, pytest.mark.slow]

EDGE, MID_A, MID_B = "edge/us-east-1a/0#1", "mid/us-east-1a/0#1", "mid/us-east-1b/0#1"
OUT_A = "out/us-east-1a/0#1"
GUARDED, FAST = 1, 2

ECHO = """
import socket, socketserver
class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.sendall((self.client_address[0] + "\\n").encode())
        while data := self.request.recv(100):
            self.request.sendall(data)
class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
import threading
for port in (443, 8443):
    threading.Thread(target=Server(("203.0.113.10", port), Echo).serve_forever).start()
print("ready", flush=True)
"""
ASK = """
import socket, sys
host, port = sys.argv[1], int(sys.argv[2])
with socket.create_connection((host, port), timeout=float(sys.argv[3])) as s:
    s.settimeout(3)
    print(s.makefile().readline().strip(), flush=True)
    for line in sys.stdin:
        s.sendall(line.encode())
        print(s.recv(100).decode().strip(), flush=True)
"""


@contextmanager
def _python(space: str, code: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = ["ip", "netns", "exec", space, sys.executable, "-c", code, *arguments]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, text=True, bufsize=1, **pipes) as process:
        try:
            yield process
        finally:
            process.kill()


def _ask(chain: Chain, host: str = SERVER, port: int = 443, timeout: float = 1) -> str:
    """Connect once; the address that the server sees, or nothing."""
    with _python(chain.client, ASK, host, str(port), str(timeout)) as process:
        return process.communicate("")[0].strip()


def _say(process: subprocess.Popen[str], word: str) -> str:
    assert process.stdin
    assert process.stdout
    process.stdin.write(word + "\n")
    process.stdin.flush()
    return process.stdout.readline().strip()


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    need("bird", "birdc", "nft", "ip", "sysctl")
    with (
        chain_of_namespaces(three_tiers(), tmp_path_factory.mktemp("bird")) as running,
        _python(running.world, ECHO) as server,
    ):
        assert server.stdout
        assert server.stdout.readline() == "ready\n"
        until(lambda: _converged(running), 40, "routes of both chains in both directions")
        yield running


def _converged(chain: Chain) -> bool:
    forward = [chain.routes(EDGE, 1000 + c).count("nexthop") == 2 for c in (GUARDED, FAST)]
    back = ["10.200.0.7" in chain.routes(key, 1301) for key in (MID_A, MID_B, OUT_A)]
    pins = [chain.routes(key, 10_000 + 64 + n) for key in (EDGE, MID_A) for n in (1, 3)]
    watched = all(chain.watched(key) for key in chain.documents)
    return watched and all(forward) and all(back) and all(p.count("default") == 1 for p in pins)


def test_an_application_takes_the_tiers_of_its_chain_and_leaves_as_its_exit(chain: Chain) -> None:
    exits = {d["node"]["private_ip"] for k, d in chain.documents.items() if k.startswith("out/")}
    before = [chain.passed(MID_A, GUARDED) + chain.passed(MID_B, GUARDED), chain.passed(EDGE, FAST)]
    assert _ask(chain) in exits
    between = [chain.passed(MID_A, GUARDED) + chain.passed(MID_B, GUARDED), chain.passed(EDGE, FAST)]
    assert between[0] > before[0]
    assert between[1] == before[1]
    assert _ask(chain, port=8443) in exits
    after = [chain.passed(MID_A, GUARDED) + chain.passed(MID_B, GUARDED), chain.passed(EDGE, FAST)]
    assert after[0] == between[0]
    assert after[1] > between[1]


@pytest.mark.parametrize("host", ["169.254.169.254", "10.40.255.1", "100.96.0.1", "10.200.0.9"])
def test_what_belongs_to_the_stack_is_out_of_the_clients_reach(chain: Chain, host: str) -> None:
    before = sum(chain.passed(EDGE, c) for c in (GUARDED, FAST))
    assert _ask(chain, host, timeout=0.3) == ""
    assert sum(chain.passed(EDGE, c) for c in (GUARDED, FAST)) == before


def test_draining_keeps_what_flows_and_takes_nothing_new(chain: Chain) -> None:
    with _python(chain.client, ASK, SERVER, "443", "2") as held:
        assert held.stdout
        assert held.stdout.readline().strip()
        used, other = (MID_A, MID_B) if chain.passed(MID_A, GUARDED) > chain.passed(MID_B, GUARDED) else (MID_B, MID_A)
        slot = used.split("#")[0]
        drained = documents(render(with_state(three_tiers(), slot, NodeState.DRAINING)))[used]
        chain.reconfigure(used, drained["files"]["/etc/ecm/bird.conf"])
        until(lambda: "nexthop" not in chain.routes(EDGE, 1000 + GUARDED), 15, "the draining node leaves the next hops")
        before = chain.passed(used, GUARDED), chain.passed(other, GUARDED)
        assert _say(held, "still here") == "still here"
        between = chain.passed(used, GUARDED), chain.passed(other, GUARDED)
        assert between[0] > before[0]
        assert between[1] == before[1]
        assert _ask(chain)
        after = chain.passed(used, GUARDED), chain.passed(other, GUARDED)
        assert after[0] == between[0]
        assert after[1] > between[1]
    chain.reconfigure(used, chain.documents[used]["files"]["/etc/ecm/bird.conf"])
    until(lambda: _converged(chain), 15, "the node is back")


def test_a_silent_node_is_left_within_two_seconds(chain: Chain) -> None:
    # OSPF announces a router's changes at most once in 5 s (RFC 2328, MinLSInterval): start from a quiet network.
    time.sleep(5.5)
    chain.silence(MID_A)
    device = next(d["name"] for d in chain.documents[EDGE]["interfaces"] if d["name"].startswith("d0k1n1"))
    took = until(lambda: device not in chain.routes(EDGE, 1000 + GUARDED), 5, "the silent node's route is withdrawn")
    # BFD: three packets of 200 ms; then OSPF computes routes once a second.
    assert took < 2
    until(lambda: bool(_ask(chain, timeout=0.5)), 5, "new connections pass")
