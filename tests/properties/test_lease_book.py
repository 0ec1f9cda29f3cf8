"""The lease book against a model of it, and several processes that write to one book and are killed."""

import multiprocessing
import os
import signal
import time
from contextlib import ExitStack, closing, contextmanager
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from ecm.serve.book import Book, Reader
from ecm.serve.errors import NoRoomError
from ecm.serve.sqlite import SqliteFile
from tests.leases import CHAINS, NOW, ROOM, STACK, a_lease, begun, rooms

PROCESSES = 4
EACH = 60


class TwoBooks(RuleBasedStateMachine):
    """Two connections to one book, whatever one of them does, against a list of leases and a sum."""

    new = None
    """Makes the place of a new book for a block."""

    @initialize()
    def open(self):
        self.block = ExitStack()
        place = self.block.enter_context(self.new())
        self.books = [self.block.enter_context(closing(Book(place, STACK))) for _ in range(2)]
        self.reader = self.block.enter_context(closing(Reader(place, STACK)))
        self.now = NOW
        self.live = {}
        self.room = dict(ROOM)
        self.applied = 1

    def teardown(self):
        if hasattr(self, "block"):
            self.block.close()

    def begun(self, which):
        writing = begun(self.books[which], self.now, rooms(self.room, self.applied))
        self.live = {k: v for k, v in self.live.items() if v.expires_at > self.now}
        return writing

    def promised(self, tier):
        return sum(v.bandwidth_mbps for v in self.live.values() if tier in v.tiers)

    @rule(
        which=st.integers(0, 1),
        asked=st.lists(st.tuples(st.sampled_from(sorted(CHAINS)), st.integers(0, 70), st.integers(1, 90)), max_size=4),
        keep=st.booleans(),
    )
    def ask(self, which, asked, keep):
        writing = self.begun(which)
        added = []
        for chain, mbps, ttl_s in asked:
            lease = a_lease(writing, chain, mbps, ttl_s)
            held = {t: self.promised(t) + sum(a.bandwidth_mbps for a in added if t in a.tiers) for t in lease.tiers}
            fits = all(held[t] + mbps <= self.room.get(t, 0) for t in lease.tiers)
            try:
                writing.add(lease)
            except NoRoomError:
                assert not fits
            else:
                assert fits
                added.append(lease)
        if not keep:
            return self.books[which].abandon()
        writing.commit()
        return self.live.update({lease.id: lease for lease in added})

    @rule(which=st.integers(0, 1), pick=st.integers(0, 9), ttl_s=st.integers(1, 90), back=st.booleans())
    def renew_or_release(self, which, pick, ttl_s, back):
        writing = self.begun(which)
        if self.live:
            lease = self.live[sorted(self.live)[pick % len(self.live)]]
            assert writing.lease(lease.id) == lease
            longer = lease.model_copy(update={"expires_at": self.now + timedelta(seconds=ttl_s)})
            if back:
                writing.release(lease)
                del self.live[lease.id]
            elif all(self.promised(t) <= self.room.get(t, 0) for t in lease.tiers):
                writing.renew(longer)
                self.live[lease.id] = longer
            else:
                with pytest.raises(NoRoomError):
                    writing.renew(longer)
        writing.commit()

    @rule(seconds=st.integers(0, 45))
    def wait(self, seconds):
        self.now += timedelta(seconds=seconds)

    @rule(room=st.fixed_dictionaries({t: st.integers(0, 120) for t in ROOM}), without=st.sampled_from([None, *ROOM]))
    def plan(self, room, without):
        self.room = {t: mbps for t, mbps in room.items() if t != without}
        self.applied += 1

    @invariant()
    def what_is_committed_is_what_was_promised(self):
        if not hasattr(self, "live"):
            return
        self.begun(0).commit()
        held = {v.id: v for v in self.reader.leases(self.now, applications=None, after="", most=10_000)}
        assert held == self.live
        for load in self.reader.loads():
            assert (load.room_mbps, load.promised_mbps) == (self.room.get(load.tier, 0), self.promised(load.tier))


@contextmanager
def new_file():
    with TemporaryDirectory() as folder:
        yield SqliteFile(Path(folder) / "leases.db")


@pytest.mark.parametrize(("database", "examples"), [("sqlite", 25), ("postgres", 10)])
def test_two_writers_agree_with_the_model(request, database, examples):
    TwoBooks.new = staticmethod(new_file if database == "sqlite" else request.getfixturevalue("databases").new)
    run_state_machine_as_test(
        TwoBooks,
        settings=settings(
            max_examples=examples,
            stateful_step_count=15,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )


def write(place, seed, most, tell):
    """Promise and release at random, telling of each before and after it is committed."""
    chance = np.random.default_rng(seed)
    book = Book(place, STACK)
    mine = []
    done = 0
    while done < most:
        writing = book.begin(rooms(), NOW)
        if writing is None:
            time.sleep(0.0005)
            continue
        done += 1
        try:
            if mine and chance.random() < 0.4:
                word, lease = "released", writing.lease(mine.pop(chance.integers(len(mine))))
                writing.release(lease)
            else:
                word, lease = "made", a_lease(writing, chance.choice(sorted(CHAINS)), int(chance.integers(1, 9)))
                writing.add(lease)
                mine.append(lease.id)
        except NoRoomError:
            book.abandon()
            continue
        tell.send(("begun", lease.id))
        writing.commit()
        tell.send((word, lease.id))
    tell.close()


def heard(pipe):
    """What a writer told: leases it had committed and not released, and what it was about when it ended."""
    made, doubtful = set(), None
    while True:
        try:
            word, lease = pipe.recv()
        except EOFError:
            return made, doubtful
        doubtful = lease if word == "begun" else None
        if word == "made":
            made.add(lease)
        if word == "released":
            made.discard(lease)


@pytest.mark.parametrize("killed", [0, 2])
def test_four_processes_promise_no_more_than_there_is_and_lose_nothing(place, killed):
    context = multiprocessing.get_context("spawn")
    writers = []
    for seed in range(PROCESSES):
        mine, theirs = context.Pipe(duplex=False)
        most = 1_000_000 if seed < killed else EACH
        process = context.Process(target=write, args=(place, seed, most, theirs))
        process.start()
        theirs.close()
        writers.append((process, mine))
    for process, pipe in writers[:killed]:
        assert pipe.poll(60)
        process.join(0.2)
        os.kill(process.pid, signal.SIGKILL)
    told = [heard(pipe) for _, pipe in writers]
    for number, (process, _) in enumerate(writers):
        process.join(30)
        assert process.exitcode == (-signal.SIGKILL if number < killed else 0)
    sure = {lease for made, _ in told for lease in made}
    doubtful = {lease for _, lease in told} - {None}
    reader = Reader(place, STACK)
    held = {lease.id for lease in reader.leases(NOW, applications=None, after="", most=10_000)}
    assert reader.audit() == ()
    reader.close()
    assert len(held) > 5
    assert held - doubtful == sure - doubtful
    assert len(doubtful) <= killed
