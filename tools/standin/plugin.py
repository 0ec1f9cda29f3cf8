"""The process `pulumi-resource-aws`: serves the protocol on loopback and ends with its engine.

The first line on stdout is the port and nothing comes before it; everything else goes to stderr. It ends on Cancel, on
SIGTERM and SIGINT, and when the process that started it is gone. Test double, not the AWS provider.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from types import FrameType, ModuleType

import grpc


def _without_sdk() -> None:
    """Let `pulumi.runtime.proto` be imported without the rest of the SDK, which takes longer than most updates.

    The process is a plugin and runs no program, so nothing else of the SDK is missed.
    """
    for name in ("pulumi", "pulumi.runtime"):
        spec = find_spec(name)
        package = ModuleType(name)
        package.__path__ = list(spec.submodule_search_locations or ()) if spec else []
        sys.modules[name] = package


if __name__ == "__main__":
    _without_sdk()

from pulumi.runtime.proto import provider_pb2_grpc  # noqa: E402

from tools.standin.provider import Servicer  # noqa: E402

# The engine asks for as many resources at once as its `--parallel`; more threads than that are idle.
_THREADS = 48
_WATCH_S = 2.0
# The SDK's own limit on a message.
_OPTIONS = [("grpc.max_receive_message_length", 400 * 1024 * 1024)]


def main() -> int:
    """Serve until the engine is done; return the exit status."""
    done = threading.Event()
    server = grpc.server(ThreadPoolExecutor(_THREADS), options=_OPTIONS)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(Servicer(done.set), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()

    def stop(_number: int, _frame: FrameType | None) -> None:
        done.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    parent = os.getppid()
    while not done.wait(_WATCH_S):
        if os.getppid() != parent:
            break
    server.stop(grace=5).wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
