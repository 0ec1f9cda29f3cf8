"""The lease book in every database: promises against room, expiry, plans that follow each other; files of others."""

import sqlite3
from contextlib import closing
from datetime import timedelta

import pytest

from ecm.serve.book import Answered, Book, Reader
from ecm.serve.errors import BookError, NoRoomError, OutdatedError, UnknownError
from ecm.serve.sqlite import SqliteFile
from tests.leases import NOW, STACK, a_lease, begun, rooms


@pytest.fixture
def book(place):
    with_tables = Book(place, STACK)
    yield with_tables
    with_tables.close()


@pytest.fixture
def reader(place, book):
    made = Reader(place, STACK)
    yield made
    made.close()


def add(book, *, at=NOW, having=None, **lease):
    writing = begun(book, at, having)
    try:
        made = a_lease(writing, **lease)
        writing.add(made)
    except NoRoomError:
        book.abandon()
        raise
    writing.commit()
    return made


def loads(reader):
    return {load.tier: (load.room_mbps, load.promised_mbps) for load in reader.loads()}


def test_a_promise_is_counted_on_every_tier_of_its_chain(book, reader):
    add(book, chain="long", mbps=30)
    add(book, chain="short", mbps=5)
    assert loads(reader) == {"in": (100, 35), "mid": (60, 30), "out": (80, 35)}
    assert reader.audit() == ()


def test_the_scarcest_tier_bounds_what_is_promised(book, reader):
    add(book, chain="long", mbps=60)
    with pytest.raises(NoRoomError, match="tier mid has 0 Mbit/s left, needed 1"):
        add(book, chain="long", mbps=1)
    add(book, chain="short", mbps=20)
    with pytest.raises(NoRoomError, match="tier out has 0"):
        add(book, chain="short", mbps=1)
    assert loads(reader) == {"in": (100, 80), "mid": (60, 60), "out": (80, 80)}


def test_what_expires_is_free_again(book, reader):
    made = add(book, mbps=80, ttl_s=60)
    writing = begun(book, NOW + timedelta(seconds=59.999))
    assert writing.lease(made.id) == made
    writing.commit()
    writing = begun(book, NOW + timedelta(seconds=60))
    with pytest.raises(UnknownError, match="expired"):
        writing.lease(made.id)
    assert writing.free("out") == 80
    writing.commit()
    assert loads(reader)["out"] == (80, 0)
    assert reader.leases(NOW, applications=None, after="", most=9) == ()


def test_a_renewed_lease_lives_until_its_new_expiry(book):
    made = add(book, mbps=80, ttl_s=60)
    writing = begun(book)
    longer = made.model_copy(update={"expires_at": NOW + timedelta(hours=1), "renewed": 1})
    writing.renew(longer)
    writing.commit()
    assert begun(book, NOW + timedelta(minutes=59)).lease(made.id) == longer


def test_a_released_lease_is_gone_and_free(book, reader):
    made = add(book, mbps=80)
    writing = begun(book)
    writing.release(made)
    with pytest.raises(UnknownError):
        writing.lease(made.id)
    writing.commit()
    assert loads(reader)["in"] == (100, 0)


def test_nothing_of_an_abandoned_transaction_stays(book, reader):
    writing = begun(book)
    writing.add(a_lease(writing, mbps=80))
    book.abandon()
    assert reader.leases(NOW, applications=None, after="", most=9) == ()
    add(book, mbps=80)
    assert loads(reader)["out"] == (80, 80)


def test_a_plan_with_less_room_ends_no_promise_but_makes_and_renews_none(book, reader):
    first, second = add(book, mbps=40, ttl_s=60), add(book, mbps=40, ttl_s=600)
    smaller = rooms({"in": 100, "out": 50}, applied=2)
    with pytest.raises(NoRoomError, match="-30"):
        add(book, mbps=1, having=smaller)
    begun(book, NOW, smaller).commit()
    assert reader.audit() == ("tier out: 80 Mbit/s promised of 50",)
    writing = begun(book, NOW, smaller)
    with pytest.raises(NoRoomError, match="30 Mbit/s less than is promised"):
        writing.renew(second)
    book.abandon()
    assert loads(reader)["out"] == (50, 80)
    later = begun(book, NOW + timedelta(minutes=2), smaller)
    with pytest.raises(UnknownError):
        later.lease(first.id)
    later.renew(second)
    later.commit()
    assert loads(reader) == {"in": (100, 40), "out": (50, 40)}, "a tier that is in no plan and carries nothing is gone"
    assert reader.audit() == ()


def test_an_earlier_plan_never_comes_back(book):
    begun(book, NOW, rooms(applied=7)).commit()
    with pytest.raises(OutdatedError):
        begun(book, NOW, rooms(applied=6))
    begun(book, NOW, rooms(applied=7)).commit()


def test_an_idempotency_key_lives_as_long_as_its_lease_and_ten_minutes_at_least(book):
    writing = begun(book)
    short, long = a_lease(writing, ttl_s=1), a_lease(writing, ttl_s=3600)
    for key, lease in (("a", short), ("b", long)):
        writing.add(lease)
        writing.remember("web", key, Answered("sha256:1", key), lease)
    writing.commit()
    for minutes, found in ((9, ("a", "b")), (11, ("b",)), (61, ())):
        writing = begun(book, NOW + timedelta(minutes=minutes))
        assert tuple(k for k in ("a", "b") if writing.answered("web", k)) == found
        assert writing.answered("payroll", "b") is None
        writing.commit()


@pytest.mark.parametrize("before", [1, 3])
def test_keys_that_are_looked_up_together_are_answered_as_one_by_one(book, before):
    keys = [("web", f"k{number}") for number in range(5)]
    writing = begun(book)
    for key in keys[:before]:
        lease = a_lease(writing, mbps=1)
        writing.add(lease)
        writing.remember(*key, Answered("sha256:1", key[1]), lease)
    writing.commit()
    for at, known in ((NOW, before), (NOW + timedelta(hours=1), 0)):
        writing = begun(book, at)
        writing.look_up([])
        writing.look_up([*keys, keys[0], ("payroll", "k0")])
        assert [writing.answered(*key) for key in keys[:known]] == [Answered("sha256:1", k) for _, k in keys[:known]]
        assert not any(writing.answered(*key) for key in [*keys[known:], ("payroll", "k0")])
        lease = a_lease(writing, mbps=1)
        writing.remember(*keys[4], Answered("sha256:2", "later"), lease)
        assert writing.answered(*keys[4]) == Answered("sha256:2", "later")
        book.abandon()


def test_two_connections_see_each_others_promises_and_wait(place, book, reader):
    other = Book(place, STACK)
    add(book, mbps=30)
    add(other, mbps=30)
    add(book, mbps=20)
    with pytest.raises(NoRoomError):
        add(other, mbps=1)
    writing = begun(book)
    assert other.begin(rooms(), NOW) is None
    writing.commit()
    other.close()
    assert loads(reader)["out"] == (80, 80)


def test_tiers_are_read_again_only_where_another_has_written(place, book):
    def seen():
        begun(book).commit()
        begun(book)
        found = book._db.seen()
        book.abandon()
        return found

    before = seen()
    assert seen() == before
    with closing(Book(place, STACK)) as other:
        add(other)
    assert seen() != before


def test_leases_are_listed_in_pages_by_application(book, reader):
    made = [add(book, mbps=1, application=name) for name in ("web", "payroll", "web", "web")]
    mine = reader.leases(NOW, applications=frozenset({"web"}), after="", most=2)
    assert {lease.application for lease in mine} == {"web"}
    rest = reader.leases(NOW, applications=frozenset({"web"}), after=mine[-1].id, most=2)
    assert {lease.id for lease in (*mine, *rest)} == {lease.id for lease in made if lease.application == "web"}
    assert len(reader.leases(NOW, applications=None, after="", most=9)) == 4
    assert reader.counts(NOW) == {"payroll": 1, "web": 3}


def test_the_audit_sees_what_does_not_add_up(place, book, reader):
    add(book, mbps=30)
    db = place.open(STACK)
    db.write("UPDATE tiers SET promised_mbps = ? WHERE id = ?", [(29, "out")])
    db.write("DELETE FROM tiers WHERE id = ?", [("in",)])
    db.close()
    assert reader.audit() == ("tier out: 29 Mbit/s promised by its row, 30 by its leases", "tier in: leases but no row")


def test_a_file_is_its_owners_alone(tmp_path):
    path = tmp_path / "leases.db"
    Book(SqliteFile(path), STACK).close()
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_file_of_another_stack_or_kind_is_refused(tmp_path):
    place = SqliteFile(tmp_path / "leases.db")
    Book(place, STACK).close()
    with pytest.raises(BookError, match="stack 'dev', not of 'prod'"):
        Book(place, "prod")
    text = tmp_path / "notes.txt"
    text.write_text("not a database, and longer than the header of one " * 20)
    with pytest.raises(BookError, match="is not a lease book"):
        Book(SqliteFile(text), STACK)
    with pytest.raises(BookError, match="cannot be opened"):
        Book(SqliteFile(text / "x.db"), STACK)
    with sqlite3.connect(place.path) as db:
        db.execute("PRAGMA user_version = 9")
    db.close()
    with pytest.raises(BookError, match="later version"):
        Book(place, STACK)


def test_every_commit_to_a_file_waits_for_the_disk(tmp_path):
    """WAL with synchronous=FULL: a commit that has returned survives the loss of power."""
    db = SqliteFile(tmp_path / "leases.db").open(STACK)
    assert [db.rows(f"PRAGMA {name}")[0][0] for name in ("journal_mode", "synchronous")] == ["wal", 2]
    db.close()
