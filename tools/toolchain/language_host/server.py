"""Entry of the language host: serve on loopback, print the port, end quietly."""

import argparse
import asyncio
import os
import signal
import sys
from pathlib import Path

_LOOK_S = 0.5
# The engine sends and expects messages far above gRPC's default of 4 MiB.
_LARGEST_MESSAGE_BYTES = 400 * 1024 * 1024


def _arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="pulumi-language-python", description=__doc__, allow_abbrev=False)
    parser.add_argument("--executor", type=Path, required=True, help="the SDK's pulumi-language-python-exec")
    parser.add_argument("--host-version", required=True, help="version to report to the engine")
    parser.add_argument("engine", nargs="?", default="", help="address of the engine, last")
    # The engine may add switches for logging and tracing; `-v` and `--tracing` carry a value that is not the address.
    parser.add_argument("--tracing", default="")
    parser.add_argument("--logtostderr", action="store_true")
    parser.add_argument("-v", default="")
    return parser.parse_args(argv)


async def _serve(args: argparse.Namespace, engine: int) -> None:
    import grpc.aio  # noqa: PLC0415 - after the signal handlers: these imports take a noticeable time

    from .children import Children  # noqa: PLC0415
    from .protocol import language_grpc  # noqa: PLC0415
    from .service import Service  # noqa: PLC0415

    children = Children()
    service = Service(engine=args.engine, executor=args.executor, version=args.host_version, children=children)
    sizes = [(f"grpc.max_{way}_message_length", _LARGEST_MESSAGE_BYTES) for way in ("send", "receive")]
    server = grpc.aio.server(options=sizes)
    language_grpc.add_LanguageRuntimeServicer_to_server(service, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    over = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, over.set)
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    await _until(over, engine)
    await children.stop_all()
    await server.stop(0)


async def _until(over: asyncio.Event, engine: int) -> None:
    """Wait for a signal or for the engine's end: a process whose parent dies gets another parent."""
    while not over.is_set() and os.getppid() == engine:
        try:
            await asyncio.wait_for(over.wait(), _LOOK_S)
        except TimeoutError:
            continue


def main() -> None:
    """Serve until the engine goes away or a signal comes; neither is an error."""
    engine = os.getppid()  # first of all: later it may already have died, and its successor never does
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: os._exit(0))
    try:
        asyncio.run(_serve(_arguments(sys.argv[1:]), engine))
    except BrokenPipeError:
        os._exit(0)  # nobody reads the port: the engine is gone
    except ImportError as error:
        sys.exit(f"pulumi-language-python: {error}")
    # gRPC's threads can hold up an ordinary exit for seconds; nothing is left to save.
    sys.stdout.flush()
    os._exit(0)
