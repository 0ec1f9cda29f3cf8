"""The two ways in: HTTP on the private address for health checks and metrics, a local socket for `ecm agent`."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import socketserver
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

from ecm.model.exposition import CONTENT_TYPE

SOCKET: Final = "control.sock"
_TIMEOUT_S: Final = 5.0
_MAX_LINE: Final = 1000

Page = Callable[[], tuple[int, str, str]]
"""Returns status, content type and body."""
Command = Callable[[str], Mapping[str, Any]]


def json_page(status: int, value: Mapping[str, Any]) -> tuple[int, str, str]:
    """Return a page of JSON."""
    return status, "application/json", json.dumps(value, indent=1, sort_keys=True) + "\n"


def metrics_page(text: str) -> tuple[int, str, str]:
    """Return a page for Prometheus."""
    return 200, CONTENT_TYPE, text


class HealthServer:
    """Pages by path; every other path is 404, every other method 501."""

    def __init__(self, address: tuple[str, int], pages: Mapping[str, Page]) -> None:
        class Handler(BaseHTTPRequestHandler):
            server_version = "ecm-agent"
            sys_version = ""
            timeout = _TIMEOUT_S

            def do_GET(self) -> None:
                page = pages.get(self.path.partition("?")[0])
                status, kind, body = page() if page else (404, "text/plain", "no such page\n")
                data = body.encode()
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                """Health checks come every few seconds from every zone: no log."""

        self._server = ThreadingHTTPServer(address, Handler)
        self._server.daemon_threads = True
        self.address: tuple[str, int] = self._server.server_address[:2]  # type: ignore[assignment]
        threading.Thread(target=self._server.serve_forever, name="health", daemon=True).start()

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()


class _Control(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True


class ControlServer:
    """One JSON answer for one word on a line; only the agent's own user and root may connect."""

    def __init__(self, run: Path, command: Command) -> None:
        class Handler(socketserver.StreamRequestHandler):
            timeout = _TIMEOUT_S

            def handle(self) -> None:
                word = self.rfile.readline(_MAX_LINE).decode("ascii", "replace").strip()
                self.wfile.write(json.dumps(command(word)).encode() + b"\n")

        self._path = run / SOCKET
        self._path.unlink(missing_ok=True)
        mask = os.umask(0o177)
        try:
            self._server = _Control(str(self._path), Handler)
        finally:
            os.umask(mask)
        threading.Thread(target=self._server.serve_forever, name="control", daemon=True).start()

    def close(self) -> None:
        """Stop answering, and remove the socket."""
        self._server.shutdown()
        self._server.server_close()
        with contextlib.suppress(OSError):
            self._path.unlink()


def ask(run: Path, word: str) -> Mapping[str, Any]:
    """Send one word to the agent with the run directory `run` and return its answer; OSError when none runs."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(_TIMEOUT_S)
        try:
            client.connect(str(run / SOCKET))
        except OSError as error:
            raise OSError(f"no agent answers at {run / SOCKET}: {error.strerror}") from None
        client.sendall(word.encode() + b"\n")
        with client.makefile("rb") as answer:
            found: Mapping[str, Any] = json.loads(answer.readline() or b"{}")
        return found
