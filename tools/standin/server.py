"""The embedded AWS: moto behind one loopback port, with AWS's refusals that moto lacks and faults from a file.

Requests are served one after another: moto's backends are dictionaries without locks, and Python runs one thread at a
time anyway; connections stay open, which halves the time of a call. Test double, not AWS.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import FrameType
from typing import Any
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

# moto decides these when it is imported: no 1,177 default images, and unknown shapes are an error.
os.environ.setdefault("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")
os.environ.setdefault("MOTO_EC2_ENABLE_INSTANCE_TYPE_VALIDATION", "true")

from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import BaseWSGIServer, make_server

from tools.standin.faults import INJECTED, Fail, FaultError, FaultFile
from tools.standin.refusals import install

_FLAKING = {
    "throttle": Fail(action="*", code="RequestLimitExceeded", message="Request limit exceeded.", status=503),
    "error": Fail(action="*", code="InternalError", message="An internal error has occurred", status=500),
    "drop": Fail(action="*", code="NoAnswer", status=500),
}


class _Handler(MotoRequestHandler):
    """Keeps connections open, answers without delay and writes no log."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_request(self, *_args: object) -> None:
        """Write nothing: a fleet makes thousands of requests."""


def _action(environ: dict[str, Any]) -> str:
    """Return the action of a request in the query protocol, or of a JSON one; empty for REST."""
    target = environ.get("HTTP_X_AMZ_TARGET")
    if target:
        return str(target).rpartition(".")[2]
    if not str(environ.get("CONTENT_TYPE", "")).startswith("application/x-www-form-urlencoded"):
        return ""
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = io.BytesIO(body)
    start = body.find(b"Action=")
    return parse_qs(body[start:].split(b"&", 1)[0].decode()).get("Action", [""])[0] if start >= 0 else ""


def _error(code: str, message: str) -> bytes:
    inner = f"<Code>{escape(code)}</Code><Message>{escape(message)}</Message>"
    # EC2 wants Errors, the other query services Error within ErrorResponse: a client reads the one that it knows.
    return f"<Response><Errors><Error>{inner}</Error></Errors><Error>{inner}</Error></Response>".encode()


class Application:
    """The WSGI application: faults first, then moto."""

    def __init__(self, faults: FaultFile) -> None:
        self._faults = faults
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._lock = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer one request; other requests go on while an answer is held back."""
        held_ms, answer = self._answer(environ, start_response)
        if held_ms:
            time.sleep(held_ms / 1000)
        return answer

    def _answer(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> tuple[int, Iterable[bytes]]:
        """Return for how long the answer is held back, and the answer."""
        held_ms = 0
        with self._lock:
            try:
                action = _action(environ)
                self._wait(action)
                held_ms = self._faults.now.hold_ms.get(action, 0)
                failing = self._faults.failing(action) if action else None
                flaking = self._faults.flaking()
                if flaking == "drop":
                    environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
                failing = failing or _FLAKING.get(flaking or "")
            except FaultError as error:
                failing = Fail(action="", code="InternalError", message=f"fault file: {error}", status=500)
            if failing is not None:
                print(f"{INJECTED} {action} {failing.code}", file=sys.stderr, flush=True)
                body = _error(failing.code, failing.message)
                headers = [
                    ("Content-Type", "text/xml"),
                    ("Content-Length", str(len(body))),
                    ("x-amzn-ErrorType", failing.code),
                ]
                start_response(f"{failing.status} Fault", headers)
                return held_ms, [body]
            return held_ms, self._moto(environ, start_response)

    def _wait(self, action: str) -> None:
        delay = self._faults.now.delay_ms.get(action, 0)
        if delay:
            time.sleep(delay / 1000)


def make(port: int, faults: Path | None) -> BaseWSGIServer:
    """Return a server on loopback, not yet serving; port 0 lets the system choose."""
    file = FaultFile(faults)
    install(file)
    return make_server("127.0.0.1", port, Application(file), threaded=True, request_handler=_Handler)


def _until_stdin_closes(server: BaseWSGIServer) -> None:
    while sys.stdin.buffer.read(1024):
        pass
    server.shutdown()


def main(arguments: list[str]) -> int:
    """Serve until stopped; the first line on stdout is `{"endpoint": ...}`."""
    parser = argparse.ArgumentParser(prog="python -m tools.standin serve", description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--faults", type=Path, default=None, help="JSON file of faults, read again when it changes")
    parser.add_argument("--while-stdin", action="store_true", help="end when stdin closes")
    options = parser.parse_args(arguments)
    faults = options.faults or (Path(os.environ["ECM_STANDIN_FAULTS"]) if "ECM_STANDIN_FAULTS" in os.environ else None)
    server = make(options.port, faults)

    def stop(_number: int, _frame: FrameType | None) -> None:
        threading.Thread(target=server.shutdown, daemon=True).start()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    print(json.dumps({"endpoint": f"http://127.0.0.1:{server.server_port}"}), flush=True)
    if options.while_stdin:
        threading.Thread(target=_until_stdin_closes, args=(server,), daemon=True).start()
    server.serve_forever(poll_interval=0.1)
    server.server_close()
    return 0
