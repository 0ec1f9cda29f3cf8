"""Overlays as the service writes them: what changes them, when they come again, who writes, and what a fault does."""

from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path

import pytest

from ecm import signing
from ecm.model.contract import overlay_key
from ecm.model.overlay import Overlay
from ecm.serve.book import Book, Reader
from ecm.serve.lease import Lease
from ecm.serve.offer import Offer
from ecm.serve.publisher import REWRITE, Publication, Publisher
from ecm.serve.sqlite import SqliteFile
from tests.leases import NOW, STACK, a_lease, begun, rooms
from tests.overlays import SERVICE, a_choosing_plan
from tests.serving import ASKED, World, served

KEY = overlay_key("corp")
OF_WEB = tuple(c for c in a_choosing_plan().desired.overlay.choices if c.application == "web")
ROOMS = {"edge": 100, "mid": 100, "out": 100}


class Memory:
    """A target that counts, and fails where it is told to."""

    def __init__(self) -> None:
        self.held: dict[str, bytes] = {}
        self.writes = 0
        self.broken = False

    def read(self, key: str) -> bytes | None:
        return self.held.get(key)

    def write(self, key: str, data: bytes) -> None:
        if self.broken:
            raise OSError("the bucket does not answer")
        self.writes += 1
        self.held[key] = data

    @property
    def overlay(self) -> Overlay:
        return signing.open_overlay(self.held[KEY], [SERVICE.public])


class Process:
    """One process of the service, in the test's hands."""

    def __init__(self, folder: Path, target: Memory, plan=None) -> None:
        lock = folder / "overlay.pem"
        lock.touch()
        self.book = Book(SqliteFile(folder / "leases.db"), STACK)
        self.offer = Offer(1, plan or a_choosing_plan(), (), {})
        publication = Publication(target, SERVICE, lock)
        self.publisher = Publisher(publication, Reader(SqliteFile(folder / "leases.db"), STACK))
        self.at = NOW

    def promise(self, **lease) -> None:
        writing = begun(self.book, self.at, rooms(ROOMS))
        made = a_lease(writing, mbps=1, ttl_s=lease.pop("ttl_s", 60))
        writing.add(Lease.model_validate(made.model_dump() | {"chain": "fast", "tiers": ("edge", "out")} | lease))
        writing.commit()

    def turn(self, seconds: float = 0) -> float:
        self.at += timedelta(seconds=seconds)
        return self.publisher.turn(self.offer, self.at)


@pytest.fixture
def target() -> Memory:
    return Memory()


@pytest.fixture
def process(tmp_path: Path, target: Memory) -> Process:
    made = Process(tmp_path, target)
    assert made.turn() < 1
    return made


def test_an_overlay_says_what_the_leases_ask_for_and_ends_90_s_later(process: Process, target: Memory) -> None:
    assert target.overlay.rules == ()
    process.promise()
    process.turn(1)
    found = target.overlay
    assert [(r.application, r.chain, r.mark) for r in found.rules] == [("web", "fast", "0x10200001")]
    assert (found.stack, found.vpn, found.base) == ("dev", "corp", process.offer.digest)
    assert (found.issued_at, found.not_after) == (process.at, process.at + timedelta(seconds=90))


def test_it_is_written_again_only_where_it_changes_or_nears_its_end(process: Process, target: Memory) -> None:
    process.promise(ttl_s=600)
    process.turn(1)
    writes, serial = target.writes, target.overlay.serial
    for _ in range(9):
        process.turn(2)
    assert (target.writes, target.overlay.serial) == (writes, serial)
    process.turn(2)
    assert target.writes == writes + 1
    assert target.overlay.serial > serial
    assert target.overlay.not_after - process.at > 3 * REWRITE


def test_a_lease_that_ends_is_out_of_it_at_the_next_look(process: Process, target: Memory) -> None:
    process.promise(ttl_s=10)
    process.turn(1)
    process.turn(8)
    assert target.overlay.rules
    process.turn(1)
    assert not target.overlay.rules


def test_a_newer_plan_is_compiled_at_once_and_what_it_lacks_is_named(process: Process, target: Memory) -> None:
    process.promise()
    process.turn(1)
    desired = process.offer.plan.desired
    fewer = desired.overlay.model_copy(update={"choices": ()})
    process.offer = Offer(2, a_choosing_plan(overlay=fewer), (), {})
    process.turn()
    assert target.overlay.base == process.offer.digest
    assert target.overlay.rules == ()
    assert "does not let web take chain fast" in process.publisher.published.left_out[0].why


def test_serials_go_on_whatever_becomes_of_clock_book_and_process(
    process: Process, target: Memory, tmp_path: Path
) -> None:
    serial = target.overlay.serial
    process.publisher.close()
    (tmp_path / "other").mkdir()
    another = Process(tmp_path / "other", target)
    another.at = NOW - timedelta(hours=1)
    another.turn()
    assert target.overlay.serial == serial + 1
    assert target.overlay.issued_at == another.at
    another.promise()
    another.turn()
    assert target.overlay.serial == serial + 2


def test_one_process_writes_and_the_next_takes_over_when_it_ends_with_both_their_leases(
    process: Process, target: Memory, tmp_path: Path
) -> None:
    second = Process(tmp_path, target)
    second.promise(destinations=("203.0.113.7/32",))
    assert second.turn() == 1.0
    assert (second.publisher.published.leads, second.publisher.published.writes) == (False, 0)
    process.turn(1)
    assert len(target.overlay.rules) == 1, "the writer's overlay has the other's lease"
    process.publisher.close()
    process.promise(destinations=("203.0.113.8/32",))
    second.turn(1)
    assert second.publisher.published.leads
    assert len(target.overlay.rules) == 2


def test_of_two_machines_on_one_book_one_writes_and_the_other_goes_on_from_there(
    process: Process, target: Memory, tmp_path: Path
) -> None:
    second = Process(tmp_path, target)
    second.publisher = Publisher(
        Publication(target, SERVICE, tmp_path / "leases.db"), Reader(SqliteFile(tmp_path / "leases.db"), STACK)
    )
    process.promise()
    process.turn(1)
    writes, serial = target.writes, target.overlay.serial
    second.turn(2)
    assert second.publisher.published.leads
    assert target.writes == writes, "what stands says the same"
    second.at -= timedelta(hours=1)
    second.promise(destinations=("203.0.113.8/32",))
    second.turn()
    assert target.overlay.serial == serial + 1
    assert len(target.overlay.rules) == 3, "the narrow one, and what is before and after it"


def test_a_target_that_fails_is_tried_again_and_said(process: Process, target: Memory) -> None:
    process.promise()
    target.broken = True
    assert process.turn(1) == 1.0
    published = process.publisher.published
    assert (published.failures, "does not answer" in published.problem) == (1, True)
    target.broken = False
    process.turn(1)
    assert target.overlay.rules
    assert published.problem == ""


@pytest.mark.parametrize("overlay", [None, "another"])
def test_a_plan_whose_nodes_do_not_take_it_gets_none(overlay, target: Memory, tmp_path: Path) -> None:
    terms = a_choosing_plan().desired.overlay.model_copy(update={"signers": (signing.new_key().public,)})
    process = Process(tmp_path, target, a_choosing_plan(overlay=overlay and terms))
    process.turn()
    assert target.writes == 0
    assert "ecm serve key" in process.publisher.published.problem


def test_the_running_service_publishes_a_lease_within_two_seconds_and_measures_it(
    target: Memory, tmp_path: Path
) -> None:
    world = World(SqliteFile(tmp_path / "leases.db"))
    desired = world.offer.plan.desired
    terms = a_choosing_plan().desired.overlay.model_copy(
        update={"choices": tuple(c.model_copy(update={"chains": ("long", "short")}) for c in OF_WEB)}
    )
    plan = world.offer.plan.model_copy(update={"desired": desired.model_copy(update={"overlay": terms})})
    world.offer = Offer(1, plan, world.offer.states, world.offer.terms)
    lock = tmp_path / "overlay.pem"
    lock.touch()
    settings = world.settings()
    settings = type(settings)(**{**vars(settings), "publication": Publication(target, SERVICE, lock)})
    token, operator = world.token("web"), world.token(operator=True)
    with served(world, settings) as client:
        asked = ASKED | {"security_level": 3, "destinations": ["203.0.113.7/32"]}
        lease = client(token).post("/v1/routes", json=asked).json()["lease"]
        until = time.monotonic() + 2
        while not (KEY in target.held and target.overlay.rules):
            assert time.monotonic() < until
            time.sleep(0.02)
        (rule,) = target.overlay.rules
        assert (rule.chain, rule.mark) == (lease["chain"], lease["mark"])
        assert rule.chain == "long"
        page = client(operator).get("/metrics").text
    assert 'ecm_serve_overlay_rules{vpn="corp"} 1' in page
    assert "ecm_serve_overlay_leads 1" in page
