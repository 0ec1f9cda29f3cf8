"""The routing service on loopback: open-loop arrivals, latency from the intended send time, promises checked after it.

`ecm serve` runs as its users run it, one process, on a plan of the prod stack whose tiers were given room for what is
asked here (a Tbit/s each: leases are measured, not refusals). Its book holds 10,000 live leases. Requests for routes
arrive as a Poisson process of 1,000 a second over 64 connections, each with an idempotency key, whatever the answers
take; a request that finds every connection busy waits, and its wait counts. Afterwards the book is counted again from
every lease: over_promised is the number of tiers with less room than their leases, or whose sums do not add up; lost is
the number of leases of the last minute that were answered and are not in the book, or came twice. The bounds are what
the service is built for: 1,000 decisions a second at a p99 of at most 20 ms on two cores.

    python -m benchmarks.service [--quick | --soak] [--rate N] [--postgres]

The last line is JSON: decisions_per_s, p50_ms, p99_ms, over_promised, lost, refused, live_leases, per_commit (requests
that shared a transaction, mean), commit_ms (mean), cpu_us (processor time of the service per answer), fsync_p99_ms (of
this disk, in the same minute), rss_mb (of the service at the start and at the end). --quick: 8 s instead of 60 s;
--soak: 10 min; --rate: other arrivals than 1,000 a second; --postgres: the book is in PostgreSQL, on a server that is
started for it on this machine and shares its processors.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import numpy as np
import uvloop

from benchmarks.fleets import AS_OF, ROOT, history_of
from benchmarks.postgres_server import cluster, find_programs
from ecm import intent
from ecm.cli.serving import offers_of, precise_time
from ecm.cli.session import make_session
from ecm.model.plan import Plan
from ecm.pipeline import World, decide
from ecm.serve import orders
from ecm.serve.answers import LONGEST_S, RouteAsked
from ecm.serve.book import Book, Reader
from ecm.serve.database import Place
from ecm.serve.desk import GROUP
from ecm.serve.postgres.server import server_of
from ecm.serve.sqlite import SqliteFile
from ecm.serve.tokens import Token, Tokens
from ecm.store import EntryKind, open_store

STACK = "prod"
RATE, CONNECTIONS, LIVE = 1000, 64, 10_000
TTL_S = 120
"""Of a lease: longer than a run and its count, but for a soak."""
ROOM_MBPS = 1_000_000
FSYNCS = 200


@dataclass
class Load:
    """What the generator saw."""

    latencies_s: list[float] = field(default_factory=list)
    leases: list[tuple[float, str]] = field(default_factory=list)
    """When each was answered, s, and its id."""
    refused: int = 0
    took_s: float = 0.0


def project(root: Path) -> Plan:
    """Make a project whose store says that a plan of the prod stack is applied; return that plan."""
    for folder in ("stacks", "policies"):
        shutil.copytree(ROOT / folder, root / folder)
    written = intent.load(root, STACK)
    outcome = decide(written, history_of(written.fleet, 0.5), World(as_of=AS_OF, templates=ROOT / "templates"))
    if outcome.plan is None:
        raise SystemExit("; ".join(i.message() for i in outcome.infeasible))
    tiers = tuple(t.model_copy(update={"usable_mbps": t.usable_mbps + ROOM_MBPS}) for t in outcome.plan.tiers)
    plan = outcome.plan.model_copy(update={"tiers": tiers})
    store = open_store(".ecm/store", stack=STACK, root=root)
    digest = store.put_plan(plan)
    store.record(EntryKind.APPLIED, at=AS_OF, plan=digest, who="benchmark")
    return plan


def tokens(place: Place, plan: Plan) -> tuple[dict[str, tuple[str, str]], str]:
    """Return the VPN and a token of each application, and an operator's token."""
    held = Tokens(place, STACK)
    now = precise_time()

    def made(*applications: str) -> str:
        ends = now + timedelta(days=1)
        return held.make(
            Token(
                id="",
                applications=applications,
                operator=not applications,
                made_at=now,
                expires_at=ends,
                who="benchmark",
            )
        )

    by = {a.application: (a.vpn, made(a.application)) for a in plan.desired.applications}
    operator = made()
    held.close()
    return by, operator


@contextlib.contextmanager
def service(root: Path, place: Place, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run `ecm serve` for a block."""
    words = [sys.executable, "-m", "ecm.cli", "--root", str(root), "--stack", STACK, "serve", "--port", str(port)]
    process = subprocess.Popen([*words, "--book", str(place), "--rate", "10000"], cwd=ROOT, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


async def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    """Wait until the service listens."""
    for _ in range(600):
        if process.poll() is not None:
            raise SystemExit(f"ecm serve ended with exit code {process.returncode}")
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.1)
            continue
        writer.close()
        return
    raise SystemExit("ecm serve does not listen")


def request(application: str, vpn: str, token: str, key: str) -> bytes:
    """Return one request for a route, as bytes."""
    body = json.dumps({"application": application, "vpn": vpn, "bandwidth_mbps": 1, "ttl_s": TTL_S}).encode()
    return (
        f"POST /v1/routes HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nIdempotency-Key: {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body


async def answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Return status and body of one answer."""
    head = await reader.readuntil(b"\r\n\r\n")
    lower = head.lower()
    start = lower.index(b"content-length:") + 15
    length = int(lower[start : lower.index(b"\r\n", start)])
    return int(head[9:12]), await reader.readexactly(length)


async def generate(port: int, asked: list[bytes], due_s: np.ndarray[tuple[int], np.dtype[np.float64]]) -> Load:
    """Send `asked`, each at its time from now on, over CONNECTIONS connections."""
    load = Load()
    loop = asyncio.get_running_loop()
    arrivals = iter(zip(asked, due_s.tolist(), strict=True))
    begun = loop.time() + 0.2

    async def connection() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for words, due in arrivals:
            early = begun + due - loop.time()
            if early > 0:
                await asyncio.sleep(early)
            writer.write(words)
            status, body = await answer(reader)
            load.latencies_s.append(loop.time() - begun - due)
            if status == 201:
                load.leases.append((loop.time() - begun, json.loads(body)["lease"]["id"]))
            elif status == 409:
                load.refused += 1
            else:
                raise SystemExit(f"the service answered {status}: {body.decode()}")
        writer.close()

    await asyncio.gather(*(connection() for _ in range(CONNECTIONS)))
    load.took_s = loop.time() - begun
    return load


def fill(root: Path, place: Place, plan: Plan) -> None:
    """Make a book with LIVE leases, as the service would have decided and grouped them."""
    book = Book(place, STACK)
    offer = offers_of(make_session(root, STACK, as_json=False))()
    routes = plan.desired.applications
    for first in range(0, LIVE, GROUP):
        writing = book.begin(offer.rooms, precise_time())
        if writing is None:
            raise SystemExit("somebody else writes to a new book")
        for number in range(first, min(first + GROUP, LIVE)):
            route = routes[number % len(routes)]
            asked = RouteAsked(application=route.application, vpn=route.vpn, bandwidth_mbps=1, ttl_s=LONGEST_S)
            orders.grant(asked, None)(writing, offer)
        writing.commit()
    book.close()


@contextlib.contextmanager
def book_of(root: Path, *, postgres: bool) -> Iterator[Place]:
    """Yield where the leases are for a block: where `ecm serve` keeps them, or on a server of PostgreSQL."""
    if not postgres:
        yield SqliteFile(root / ".ecm" / "serve" / f"{STACK}.db")
        return
    programs = find_programs()
    if programs is None:
        raise SystemExit("PostgreSQL is not installed (Debian: postgresql)")
    with cluster(programs) as server:
        yield server_of(server.url())


def fsync_p99_ms(folder: Path) -> float:
    """Return what 99 of 100 writes of a page take until the disk has them, ms."""
    took = []
    with (folder / "fsync").open("wb") as file:
        for _ in range(FSYNCS):
            began = time.perf_counter()
            file.write(b"x" * 4096)
            file.flush()
            os.fdatasync(file.fileno())
            took.append(time.perf_counter() - began)
    return round(1000 * float(np.quantile(took, 0.99)), 2)


def rss_mb(pid: int) -> float:
    """Return a process's resident memory, MB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, 1)


def processor_s(pid: int) -> float:
    """Return the processor time that a process has used, s."""
    after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(after_name[11]) + int(after_name[12])) / os.sysconf("SC_CLK_TCK")


async def measure(root: Path, place: Place, seconds: int, rate: int) -> dict[str, object]:
    """Return the figures of one run."""
    plan = project(root)
    fill(root, place, plan)
    by, operator = tokens(place, plan)
    names = sorted(by)
    generator = np.random.default_rng(11)
    due = np.cumsum(generator.exponential(1 / rate, rate * seconds))
    chosen = generator.integers(len(names), size=len(due)).tolist()
    asked = [request(names[n], *by[names[n]], f"k{k}") for k, n in enumerate(chosen)]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    with service(root, place, port) as process:
        await wait_for(port, process)
        reader = Reader(place, STACK)
        before, worked_s = rss_mb(process.pid), processor_s(process.pid)
        load = await generate(port, asked, due)
        figures = _figures(load, reader) | _commits(await metrics(port, operator))
        worked_s = processor_s(process.pid) - worked_s
        figures |= {
            "cpu_us": round(1e6 * worked_s / len(asked)),
            "fsync_p99_ms": fsync_p99_ms(root),
            "rss_mb": [before, rss_mb(process.pid)],
        }
        reader.close()
    return figures


async def metrics(port: int, operator: str) -> dict[str, float]:
    """Return the service's own measures that have no labels."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET /metrics HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {operator}\r\n\r\n".encode())
    _, page = await answer(reader)
    writer.close()
    lines = (line.split() for line in page.decode().splitlines() if not line.startswith("#"))
    return {name: float(value) for name, value in lines if "{" not in name}


def _commits(measured: dict[str, float]) -> dict[str, object]:
    commits = measured["ecm_serve_commits_total"]
    return {
        "per_commit": round(measured["ecm_serve_orders_total"] / commits, 1),
        "commit_ms": round(1000 * measured["ecm_serve_commit_seconds_total"] / commits, 2),
    }


def _figures(load: Load, reader: Reader) -> dict[str, object]:
    now = precise_time()
    held: set[str] = set()
    while page := reader.leases(now, applications=None, after=max(held, default=""), most=5000):
        held |= {lease.id for lease in page}
    made = [lease for at, lease in load.leases if at > load.took_s - TTL_S / 2]
    return {
        "decisions_per_s": round(len(load.latencies_s) / load.took_s, 1),
        "p50_ms": round(1000 * float(np.quantile(load.latencies_s, 0.5)), 2),
        "p99_ms": round(1000 * float(np.quantile(load.latencies_s, 0.99)), 2),
        "over_promised": len(reader.audit()),
        "lost": len(set(made) - held) + len(made) - len(set(made)),
        "refused": load.refused,
        "live_leases": len(held),
    }


def main() -> None:
    """Measure and print the figures."""
    parser = argparse.ArgumentParser(description="Latency and promises of the routing service under load.")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--quick", action="store_true", help="8 s instead of 60 s")
    length.add_argument("--soak", action="store_true", help="10 min instead of 60 s")
    parser.add_argument("--rate", type=int, default=RATE, help=f"arrivals a second; {RATE} unless given")
    parser.add_argument("--postgres", action="store_true", help="the book is in PostgreSQL, started here")
    arguments = parser.parse_args()
    seconds = 8 if arguments.quick else 600 if arguments.soak else 60
    with tempfile.TemporaryDirectory() as folder, book_of(Path(folder), postgres=arguments.postgres) as place:
        figures = uvloop.run(measure(Path(folder), place, seconds, arguments.rate))
    asked, made = arguments.rate, figures["decisions_per_s"]
    print(f"p99 {figures['p99_ms']} ms, bound 20 ms; {made} decisions a second of {asked}")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
