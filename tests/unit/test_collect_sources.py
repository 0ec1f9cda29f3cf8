"""`ecm collect` from a server that fails: retried, said, and gone on from where it stood."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

import pytest

from ecm.cli import collecting
from ecm.cli.session import make_session
from ecm.store.folder import FolderObjects
from ecm.store.history import History
from tests.prometheus import with_source

NAMES = {"status": "success", "data": ["ecm_traffic_bytes_total"]}
LABELS = {"vpn": "lab", "application": "web", "instance": "a"}


@dataclass
class Server:
    """Answers each query with a counter of 1 MB/s; `faults` are sent first, one a request: status and body."""

    url: str = ""
    faults: list[tuple[int, str]] = field(default_factory=list)
    after: int = 0
    """Requests before the first fault."""
    times: list[float] = field(default_factory=list)
    tokens: list[str | None] = field(default_factory=list)


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(200, json.dumps(NAMES))

        def do_POST(self) -> None:
            form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            state.tokens.append(self.headers["Authorization"])
            if state.after <= 0 and state.faults:
                self._answer(*state.faults.pop(0))
                return
            state.after -= 1
            end = float(form["time"][0])
            state.times.append(end)
            first = int(end) - int(form["query"][0].rpartition("[")[2].removesuffix("s]"))
            values = [[at, str(at * 1e6)] for at in range(first // 30 * 30 + 30, int(end) + 1, 30)]
            result = [{"metric": LABELS, "values": values}]
            self._answer(200, json.dumps({"status": "success", "data": {"resultType": "matrix", "result": result}}))

        def _answer(self, status: int, body: str) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        state.url = f"http://127.0.0.1:{http.server_port}"
        yield state
        http.shutdown()


def held(project) -> list[float]:
    return History(FolderObjects(project.root / ".ecm/store"), "dev/history").read().mbps.tolist()


def test_a_busy_server_is_asked_again(project, server):
    with_source(project, server.url)
    server.faults = [(503, "busy"), (429, "slow down")]
    assert project.json("collect")["sources"][0]["points"] == 24 * 60
    assert set(held(project)) == {8.0}


def test_a_run_that_was_cut_off_goes_on_from_its_last_window(project, server):
    with_source(project, server.url)
    server.after, server.faults = 20, [(422, json.dumps({"status": "error", "error": "query timed out"}))]
    code, _, err = project.run("collect")
    assert (code, "query timed out" in err) == (1, True)
    assert len(held(project)) == 20 * 60
    server.times.clear()
    assert project.run("collect")[0] == 0
    assert len(held(project)) == 24 * 60
    assert len(server.times) == 5, "four windows and a quarter of an hour again"


@pytest.mark.parametrize(
    ("fault", "said"),
    [((401, "no"), "refuses these credentials"), ((200, "<html>"), "no answer of Prometheus's")],
)
def test_what_is_wrong_with_the_answer_is_said(project, server, fault, said):
    (project.root / "token").write_text("secret\n")
    with_source(project, server.url, token_file="token")
    server.faults = [fault]
    code, _, err = project.run("collect")
    assert (code, said in err, "secret" in err) == (1, True, False)
    assert server.tokens == ["Bearer secret"]
    assert held(project) == []


def test_no_server_and_no_token_are_said(project, server):
    with_source(project, server.url, token_file="absent")
    assert "token_file absent: cannot be read" in project.run("collect")[2]


def test_following_goes_on_after_an_error_and_ends_when_told(project, server):
    with_source(project, server.url)
    server.faults = [(422, json.dumps({"status": "error", "error": "query timed out"}))]
    session = make_session(project.root, "dev", as_json=False)
    waits = []

    class Stop(threading.Event):
        def wait(self, timeout=None) -> bool:
            waits.append(timeout)
            return len(waits) == 2

    collecting.follow(session, lambda: collecting.collect_sources(session, None), Stop())
    assert waits == [60.0, 60.0]
    assert len(held(project)) == 24 * 60
    assert "query timed out" in project.capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"url": "http://user:word@host"}, "prometheus.0.url"),
        ({"unit": "furlongs"}, "prometheus.0.unit"),
        ({"mapping": {"vpn": {"label": "a", "value": "b"}}}, "either label: or value:"),
        ({"collection": {"interval_min": 7}}, "interval_min must divide 60"),
    ],
)
def test_wrong_configuration_is_said_with_its_place(project, more, said):
    with_source(project, **{"url": "http://localhost:9090", **more})
    code, _, err = project.run("collect")
    assert (code, said in err) == (1, True)
    assert "endpoint-chain-manager:telemetry" in err
    assert project.wrote_nothing()


def test_without_sources_and_files_there_is_nothing_to_collect(project):
    code, _, err = project.run("collect")
    assert (code, "no sources" in err) == (1, True)
    assert project.run("collect", "--follow", str(project.load))[0] == 64
