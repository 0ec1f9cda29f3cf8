"""The routing service as processes: killed in the middle, four on one book, TLS with client certificates."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from ecm.serve.book import Reader
from ecm.serve.database import Place
from ecm.serve.lease import Lease
from ecm.serve.sqlite import SqliteFile
from tests.leases import NOW, STACK
from tests.processes import ROOT, free_port, started
from tests.serving import ASKED, World

NUMBER = 60


@pytest.fixture
def world(place: Place) -> World:
    """A book for processes, which go by the time of day."""
    return World(place, at=datetime.now(UTC))  # noqa: TID251 - as the processes


@pytest.fixture
def local(tmp_path: Path) -> World:
    """The same with a file, where it does not matter which book it is."""
    return World(SqliteFile(tmp_path / "leases.db"), at=datetime.now(UTC))  # noqa: TID251 - as the processes


def service(world: World, port: int) -> list[str]:
    return [sys.executable, "-m", "tests.served", str(world.place), str(port)]


def held(world: World) -> tuple[Lease, ...]:
    """Every lease of the book, which is sound."""
    reader = Reader(world.place, STACK)
    assert reader.audit() == ()
    leases = reader.leases(NOW, applications=None, after="", most=999)
    reader.close()
    return leases


def test_killed_in_the_middle_it_lost_and_doubled_no_lease(world: World) -> None:
    headers = {"Authorization": f"Bearer {world.token('web')}"}
    asked = ASKED | {"bandwidth_mbps": 1, "ttl_s": 3600}
    answered: dict[str, str] = {}
    port = free_port()
    with (
        started(service(world, port), port) as process,
        httpx2.Client(base_url=f"http://127.0.0.1:{port}", headers=headers) as client,
        ThreadPoolExecutor(8) as pool,
    ):

        def ask(number: int) -> None:
            try:
                answer = client.post("/v1/routes", json=asked, headers={"Idempotency-Key": f"k{number}"})
            except httpx2.TransportError:
                return
            answered[f"k{number}"] = answer.json()["lease"]["id"]
            if len(answered) == NUMBER // 3:
                os.kill(process.pid, signal.SIGKILL)

        list(pool.map(ask, range(NUMBER)))
        assert process.wait(20) == -signal.SIGKILL
    assert NUMBER // 3 <= len(answered) < NUMBER
    survived = {lease.id for lease in held(world)}
    assert set(answered.values()) <= survived
    assert len(survived) <= len(answered) + 8, "what was under way may be written and not answered"
    with (
        started(service(world, port), port),
        httpx2.Client(base_url=f"http://127.0.0.1:{port}", headers=headers) as client,
    ):
        for number in range(NUMBER):
            answer = client.post("/v1/routes", json=asked, headers={"Idempotency-Key": f"k{number}"})
            assert answer.status_code == 201, answer.text
            lease = answer.json()["lease"]["id"]
            assert answered.setdefault(f"k{number}", lease) == lease, (
                "the same key is the same lease, also after the kill"
            )
    assert sorted(lease.id for lease in held(world)) == sorted(answered.values())
    assert len(answered) == NUMBER


def test_where_another_listens_it_says_so_and_ends(local: World) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        words = service(local, taken.getsockname()[1])
        done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "address already in use" in done.stderr
    assert "ListenError" in done.stderr
    assert "choose another --port" in done.stderr


def test_four_processes_on_one_book_promise_no_more_than_there_is(world: World) -> None:
    headers = {"Authorization": f"Bearer {world.token('web')}"}
    ports = [free_port() for _ in range(4)]
    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(8))
        list(pool.map(lambda port: stack.enter_context(started(service(world, port), port)), ports))
        clients = [
            stack.enter_context(httpx2.Client(base_url=f"http://127.0.0.1:{port}", headers=headers)) for port in ports
        ]

        def ask(number: int) -> int:
            return clients[number % 4].post("/v1/routes", json=ASKED | {"bandwidth_mbps": 3, "ttl_s": 3600}).status_code

        statuses = list(pool.map(ask, range(60)))
    assert statuses.count(201) == 100 // 3, "each tier has 100 Mbit/s"
    assert statuses.count(409) == 60 - 100 // 3
    assert len(held(world)) == 100 // 3


def test_with_a_client_authority_nobody_without_its_certificate_is_heard(local: World, tmp_path: Path) -> None:
    server, client, stranger = (certificate(tmp_path, name) for name in ("server", "client", "stranger"))
    headers = {"Authorization": f"Bearer {local.token('web')}"}
    port = free_port()
    tls = [str(server[0]), str(server[1]), str(client[0])]
    with started([*service(local, port), *tls], port):
        statuses = [asked(server[0], shown, port, headers) for shown in (client, stranger, None)]
    assert statuses == [200, None, None]


def asked(server: Path, shown: tuple[Path, Path] | None, port: int, headers: dict[str, str]) -> int | None:
    """The status of a request over TLS, or None where the service does not speak with who asks."""
    context = ssl.create_default_context(cafile=str(server))
    if shown is not None:
        context.load_cert_chain(*map(str, shown))
    try:
        with httpx2.Client(verify=context, headers=headers) as client:
            return client.get(f"https://127.0.0.1:{port}/v1/leases").status_code
    except httpx2.TransportError:
        return None


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that signs itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)  # noqa: TID251 - TLS goes by the time of day
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = folder / f"{name}.pem", folder / f"{name}.key"
    paths[0].write_bytes(made.public_bytes(Encoding.PEM))
    paths[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return paths
