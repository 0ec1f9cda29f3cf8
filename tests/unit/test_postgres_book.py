"""The lease book in PostgreSQL: what a server has to promise, connections that are lost, passwords that nobody sees."""

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager

import pytest

from benchmarks.postgres_server import cluster
from ecm.serve import orders
from ecm.serve.answers import RouteAsked
from ecm.serve.book import Book, Reader
from ecm.serve.errors import BookError
from ecm.serve.place import place_of
from ecm.serve.postgres import server
from ecm.serve.postgres.book import PostgresBook
from tests.leases import NOW, STACK, a_lease, begun, rooms
from tests.postgres import require_programs
from tests.serving import ASKED, World, served

TOGETHER = 8


@pytest.fixture
def place(databases):
    with databases.new() as made:
        yield made


@pytest.fixture
def book(place):
    with closing(Book(place, STACK)) as made:
        yield made


@pytest.fixture
def reader(place, book):
    with closing(Reader(place, STACK)) as made:
        yield made


def held(reader):
    return {lease.id for lease in reader.leases(NOW, applications=None, after="", most=99)}


def add(book):
    writing = begun(book)
    lease = a_lease(writing, mbps=1)
    writing.add(lease)
    writing.commit()
    return lease.id


@contextmanager
def role(databases, name, value):
    """What is usual for the role, for a block."""
    databases.cluster.do(f"ALTER ROLE ecm SET {name} = {value}")
    try:
        yield
    finally:
        databases.cluster.do(f"ALTER ROLE ecm RESET {name}")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://ecm:hidden@db.example/ecm", "has a password in it"),
        ("postgresql://ecm@db.example/ecm?password=hidden", "has a password in it"),
        ("postgresql://ecm@db.example/ecm?sslpassword=hidden", "has a password in it"),
        ("postgresql://ecm:hid/den@db.example/ecm", "cannot be read; it has the form postgresql://USER@HOST"),
        ("postgresql://ecm:5/hidden@db.example/ecm", "cannot be read"),
        ("postgresql://db.example/ecm?no_such_way=hidden", "cannot be read"),
    ],
)
def test_a_url_with_a_password_is_refused_and_not_repeated(url, said):
    with pytest.raises(BookError, match=said) as refused:
        place_of(url)
    assert "hid" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://ecm@db.example:5433/ecm?sslmode=verify-full", "postgresql://ecm@db.example:5433/ecm"),
        ("postgres://[::1]/ecm", "postgresql://[::1]/ecm"),
        ("postgresql://a:1,b:2/ecm", "postgresql://a:1,b:2/ecm"),
        ("postgresql://a,b/ecm?port=7", "postgresql://a:7,b:7/ecm"),
        ("postgresql:///?service=routes", "postgresql:///?service=routes"),
        ("postgresql://u%40v@%2Frun%2Fpg/ecm", "postgresql://u%40v@%2Frun%2Fpg/ecm"),
    ],
)
def test_it_is_shown_as_it_can_be_given_again(url, shown):
    assert str(place_of(url)) == str(place_of(shown)) == shown


def test_a_wrong_password_or_server_is_said_without_the_password(databases, monkeypatch):
    monkeypatch.setenv("PGPASSFILE", "/nowhere")
    with pytest.raises(BookError, match=r"no password supplied.*~/\.pgpass, a service file or PGPASSWORD"):
        place_of(databases.cluster.url()).open(STACK)
    monkeypatch.setenv("PGPASSWORD", "hidden")
    with pytest.raises(BookError, match="password authentication failed") as refused:
        place_of(databases.cluster.url()).open(STACK)
    assert "hidden" not in str(refused.value)
    with pytest.raises(BookError, match="No such file or directory"):
        place_of("postgresql://ecm@%2Fnowhere/ecm").open(STACK)


@pytest.mark.parametrize("usual", ["read committed", "repeatable read"])
def test_those_that_start_together_make_the_tables_once(databases, usual):
    for _ in range(2):
        with (
            role(databases, "default_transaction_isolation", f"'{usual}'"),
            databases.new() as place,
            ThreadPoolExecutor(TOGETHER) as pool,
        ):
            gate = threading.Barrier(TOGETHER)

            def opened(_, place=place, gate=gate):
                gate.wait()
                return Book(place, STACK)

            books = list(pool.map(opened, range(TOGETHER)))
            assert all(add(book) for book in books)
            for book in books:
                book.close()


def test_the_stacks_of_one_database_keep_apart(place, book, reader):
    with closing(Book(place, "prod-eu")) as other, closing(Reader(place, "prod-eu")) as theirs:
        mine = add(book)
        assert (held(reader), held(theirs)) == ({mine}, set())
        writing = begun(other)
        assert begun(book), "nor does one wait for another"
        book.abandon()
        writing.commit()


def test_tables_of_a_later_version_are_refused(place, book):
    db = place.open(STACK)
    db.write("UPDATE book SET format = ?", [(2,)])
    db.close()
    with pytest.raises(BookError, match="format 2 is of a later version"):
        place.open(STACK)


def test_every_commit_waits_for_the_disk_whatever_is_usual(databases, place, book):
    """An administrator's own choice for this role does not weaken a promise, but may strengthen it."""
    for usual, used in (("off", "on"), ("local", "on"), ("remote_apply", "remote_apply")):
        with role(databases, "synchronous_commit", usual), closing(place.open(STACK)) as db:
            assert db.rows("SHOW synchronous_commit") == [(used,)]


def test_one_usual_isolation_is_as_good_as_another(databases, place):
    with (
        role(databases, "default_transaction_isolation", "serializable"),
        closing(Book(place, STACK)) as book,
        closing(Book(place, STACK)) as other,
        closing(Reader(place, STACK)) as reader,
    ):
        made = {add(one) for one in (book, other) * 5}
        writing = begun(book)
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(other.begin, rooms(), NOW)
            time.sleep(0.05)
            writing.commit()
            assert waiting.result(), "whoever has waited reads what was written meanwhile, and is not refused"
        other.abandon()
        assert held(reader) == made


def test_an_idle_connection_that_was_lost_is_made_again_unnoticed(databases, place, book, reader):
    first = add(book)
    databases.throw_out(place)
    second = add(book)
    assert held(reader) == {first, second}
    assert reader.audit() == ()


@pytest.mark.parametrize("at", ["read", "commit"])
def test_a_connection_that_is_lost_in_a_transaction_writes_nothing_of_it(databases, place, book, reader, at):
    first = add(book)
    writing = begun(book)
    writing.add(a_lease(writing))
    databases.throw_out(place)
    with pytest.raises(BookError, match="tries again to connect"):
        writing.answered("web", "k") if at == "read" else writing.commit()
    book.abandon()
    second = add(book)
    assert held(reader) == {first, second}
    assert reader.audit() == ()


def test_what_the_server_refuses_is_not_written_in_part(place, book, reader):
    """Errors of a pipeline come late, and COMMIT itself does not fail after one."""
    first = add(book)
    writing = begun(book)
    lease = a_lease(writing)
    writing.add(lease)
    writing.add(lease)
    with pytest.raises(BookError, match="duplicate key"):
        writing.commit()
    assert held(reader) == {first}
    second = add(book)
    assert held(reader) == {first, second}
    assert reader.audit() == ()


def test_a_commit_after_an_error_that_nobody_heeded_is_none(place, book, reader):
    writing = begun(book)
    writing.add(a_lease(writing))
    with pytest.raises(BookError, match="no_such_table"):
        book._db.rows("SELECT 1 FROM no_such_table")
    with pytest.raises(BookError):
        writing.commit()
    assert held(reader) == set()
    add(book)


def test_a_process_that_stands_still_stops_the_others_for_a_while_only(place, book, reader, monkeypatch):
    assert server._SESSION["idle_in_transaction_session_timeout"] == "5s"
    monkeypatch.setitem(server._SESSION, "idle_in_transaction_session_timeout", "300ms")
    with closing(Book(place, STACK)) as still:
        writing = begun(still)
        writing.add(a_lease(writing))
        assert book.begin(rooms(), NOW) is None
        until = time.monotonic() + 10
        while (mine := book.begin(rooms(), NOW)) is None:
            assert time.monotonic() < until
        mine.commit()
        with pytest.raises(BookError, match="tries again to connect"):
            writing.commit()
    assert held(reader) == set()


def test_after_a_loss_of_power_every_promise_is_there(own):
    place = server.server_of(own.url())
    with closing(Book(place, STACK)) as book, closing(Reader(place, STACK)) as reader:
        made = {add(book) for _ in range(5)}
        writing = begun(book)
        writing.add(a_lease(writing))
        own.stop()
        with pytest.raises(BookError):
            writing.commit()
        with pytest.raises(BookError, match="tries again to connect"):
            add(book)
        with pytest.raises(BookError):
            reader.check()
        own.start()
        assert held(reader) == made
        made.add(add(book))
        assert held(reader) == made
        assert reader.audit() == ()
    own.stop()
    own.start("fsync=off")
    with pytest.raises(BookError, match="fsync is off"):
        place.open(STACK)


def test_without_the_server_the_service_says_so_and_goes_on_when_it_is_back(own):
    world = World(server.server_of(own.url()))
    token = world.token("web", operator=True)
    with served(world) as of:
        web = of(token)
        assert ask(web, "a").status_code == 201
        own.stop()
        for path in ("/healthz", "/v1/leases", "/", "/metrics"):
            assert web.get(path).status_code == 503, path
        refused = ask(web, "b")
        assert (refused.status_code, refused.json()["title"]) == (503, "the lease book cannot be used")
        assert web.get("/openapi.json").status_code == 200
        own.start()
        first, again = ask(web, "b"), ask(web, "b")
        assert (first.status_code, first.json()) == (201, again.json())
        assert len(web.get("/v1/leases").json()["leases"]) == 2
        assert web.get("/healthz").status_code == 200


def test_the_event_loop_never_waits_for_the_server(place, monkeypatch):
    world = World(place)
    token = world.token("web", operator=True)
    threads = set()
    asked = PostgresBook._asked

    def noted(book, *words, **named):
        threads.add(threading.get_ident())
        return asked(book, *words, **named)

    with served(world) as of:
        web = of(token)
        monkeypatch.setattr(PostgresBook, "_asked", noted)
        lease = ask(web, "a").json()["lease"]["id"]
        web.post("/v1/routes/what-if", json=ASKED)
        web.post(f"/v1/leases/{lease}/renew", json={})
        for path in ("/", "/metrics", "/healthz", "/v1/leases", f"/v1/leases/{lease}"):
            assert web.get(path).status_code == 200
        assert len(threads) > 1
        assert web.portal.call(threading.get_ident) not in threads


def test_the_keys_of_a_group_are_asked_for_in_one_go(place, monkeypatch):
    world = World(place)
    asked = []
    rows = PostgresBook.rows

    def noted(book, statement, values=()):
        asked.append(statement)
        return rows(book, statement, values)

    with served(world) as of:
        web = of("")
        desk = web.app.state.service.desk
        order = RouteAsked(**ASKED | {"bandwidth_mbps": 1})

        async def together():
            wanted = (desk.do(orders.grant(order, f"k{n}"), ("web", f"k{n}")) for n in range(5))
            return await asyncio.gather(*wanted)

        monkeypatch.setattr(PostgresBook, "rows", noted)
        first, again = web.portal.call(together), web.portal.call(together)
    assert first == again
    assert sum("FROM answers" in statement for statement in asked) == 2


def ask(client, key):
    return client.post("/v1/routes", json=ASKED, headers={"Idempotency-Key": key})


@pytest.fixture
def own():
    """A server that this test alone may stop."""
    with cluster(require_programs()) as made:
        yield made
