"""The process around the application: uvicorn, until a signal says stop."""

from __future__ import annotations

import gc
import signal
import ssl
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import uvicorn
from fastapi import FastAPI

from ecm.serve.errors import ListenError

_SWITCH_S: Final = 0.0005
"""Between two threads: an answer must not wait 5 ms for the event loop to let the end of its commit in."""
_STOP_S: Final = 10
_MOST: Final = 4096
"""Connections and requests at a time; more are told to come again."""


@dataclass(frozen=True)
class Way:
    """Where the service listens, and how it speaks."""

    host: str
    port: int
    tls_cert: Path | None = None
    tls_key: Path | None = None
    client_ca: Path | None = None
    """Whose certificates clients must show."""

    @property
    def url(self) -> str:
        """Return the address that it is reached at."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.tls_cert else 'http'}://{host}:{self.port}"

    def options(self) -> dict[str, Any]:
        """Return how uvicorn listens."""
        tls = {
            "ssl_certfile": self.tls_cert,
            "ssl_keyfile": self.tls_key,
            "ssl_ca_certs": self.client_ca,
            "ssl_cert_reqs": ssl.CERT_REQUIRED if self.client_ca else ssl.CERT_NONE,
        }
        return {"host": self.host, "port": self.port, **(tls if self.tls_cert else {})}


def listen(app: FastAPI, way: Way) -> None:
    """Serve until SIGINT or SIGTERM; what waits then is answered. ListenError where it cannot begin."""
    config = uvicorn.Config(
        app,
        **way.options(),
        http="httptools",
        ws="none",
        lifespan="on",
        access_log=False,
        log_level="warning",
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=_STOP_S,
        limit_concurrency=_MOST,
    )
    sys.setswitchinterval(_SWITCH_S)
    for number in (signal.SIGINT, signal.SIGTERM):
        # uvicorn raises the signal that stopped it once more at its end: it has done its work by then.
        signal.signal(number, lambda *_: None)
    server = uvicorn.Server(config)
    # What is loaded by now stays: without this, each full collection would stop every answer for a fifth of a second.
    gc.collect()
    gc.freeze()
    try:
        server.run()
    except ssl.SSLError as error:
        raise ListenError(f"the certificate or key for TLS cannot be used: {error}") from None
    except SystemExit:
        pass  # uvicorn's own exit code; it has said why
    if not server.started:
        raise ListenError(f"{way.url}: the service did not start; see above, or choose another --port")
