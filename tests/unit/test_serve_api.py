"""The routing service's answers: leases on the best chain, promises that hold, and who is refused."""

import asyncio
import time
from dataclasses import replace
from datetime import timedelta

import pytest

from ecm.serve.book import Reader
from ecm.serve.desk import Desk
from ecm.serve.errors import BookError, BusyError
from ecm.serve.offer import Terms
from ecm.serve.service import _again as again
from ecm.serve.tokens import Tokens
from tests.leases import NOW, ROOM, STACK, a_lease
from tests.serving import ASKED, World, a_profile, an_offer, served

JSON = "application/json"


@pytest.fixture
def world(place):
    return World(place)


@pytest.fixture
def web_token(world):
    return world.token("web")


@pytest.fixture
def operator_token(world):
    return world.token(operator=True)


@pytest.fixture
def service(world, web_token, operator_token):
    with served(world) as of:
        yield of


@pytest.fixture
def web(service, web_token):
    return service(web_token)


@pytest.fixture
def operator(service, operator_token):
    return service(operator_token)


def ask(client, key=None, **changes):
    return client.post("/v1/routes", json=ASKED | changes, headers={"Idempotency-Key": key} if key else {})


def test_a_request_gets_the_cheapest_chain_and_a_lease_on_it(web):
    answer = ask(web, destinations=["203.0.113.0/24"], ports=["tcp/443"])
    assert answer.status_code == 201
    lease = answer.json()["lease"]
    assert (lease["chain"], lease["tiers"], lease["bandwidth_mbps"]) == ("short", ["in", "out"], 10)
    assert lease["entry"] == "corp.vpn.example.com:51820"
    assert lease["mark"] == "0x10200001", "class 1, chain 2, application 1"
    assert (lease["made_at"], lease["expires_at"]) == ("2026-11-18T12:00:00Z", "2026-11-18T12:01:00Z")
    assert lease["destinations"] == ["203.0.113.0/24"]
    assert web.get(f"/v1/leases/{lease['id']}").json() == lease


def test_what_is_promised_is_not_promised_again(web):
    assert [ask(web, bandwidth_mbps=40).json()["lease"]["chain"] for _ in range(2)] == ["short", "short"]
    refused = ask(web, bandwidth_mbps=1)
    assert refused.status_code == 409
    assert refused.headers["content-type"] == "application/problem+json"
    decision = refused.json()["decision"]
    assert decision["chain"] is None
    assert {r["candidate"] for r in decision["rejected"]} == {"short", "long"}


def test_what_is_missed_is_said_where_the_request_allows_it(web):
    slow = {"latency_ms": 1}
    assert ask(web, **slow).json()["decision"]["relaxation"] == "with latency_ms 2 (now 1) it could take chain short"
    answer = ask(web, on_violation="fallback", **slow)
    assert answer.status_code == 201
    assert [(m["requirement"], m["have"]) for m in answer.json()["decision"]["violated"]] == [("latency_ms", "2")]
    for hard in ({"security_level": 9}, {"regions": ["eu-west-1"]}, {"bandwidth_mbps": 81}):
        refused = ask(web, on_violation="best_effort", **hard)
        assert (refused.status_code, refused.json()["decision"]["conflict"]) == (409, list(hard))


def test_an_application_takes_only_the_chains_that_its_fleet_file_allows(world, web_token):
    offer = an_offer()
    allowed = {"web": Terms(a_profile(), tuple(s for s in offer.states if s.chain == "long"))}
    world.offer = replace(offer, terms=allowed)
    with served(world) as of:
        assert ask(of(web_token)).json()["lease"]["chain"] == "long"


def test_a_request_without_bandwidth_promises_its_profiles(web):
    lease = web.post("/v1/routes", json={"application": "web", "vpn": "corp"}).json()["lease"]
    assert lease["bandwidth_mbps"] == 5
    assert lease["expires_at"] == "2026-11-18T13:00:00Z"


def test_what_expires_or_is_released_can_be_promised_again(world, web):
    lease = ask(web, bandwidth_mbps=80).json()["lease"]["id"]
    assert ask(web, bandwidth_mbps=80).status_code == 409
    assert web.delete(f"/v1/leases/{lease}").status_code == 204
    assert web.delete(f"/v1/leases/{lease}").status_code == 404
    lease = ask(web, bandwidth_mbps=80).json()["lease"]["id"]
    world.wait(60)
    assert web.get(f"/v1/leases/{lease}").status_code == 404
    assert web.post(f"/v1/leases/{lease}/renew", json={}).status_code == 404
    assert ask(web, bandwidth_mbps=80).status_code == 201


def test_a_renewed_lease_expires_later(world, web):
    lease = ask(web).json()["lease"]["id"]
    world.wait(30)
    renewed = web.post(f"/v1/leases/{lease}/renew", json={"ttl_s": 90})
    assert (renewed.status_code, renewed.json()["expires_at"]) == (200, "2026-11-18T12:02:00Z")
    world.wait(89)
    assert web.get(f"/v1/leases/{lease}").json()["renewed"] == 1


def test_what_if_decides_and_promises_nothing(web, operator):
    said = web.post("/v1/routes/what-if", json=ASKED | {"bandwidth_mbps": 80})
    assert (said.status_code, said.json()["chain"]) == (200, "short")
    assert ask(web, bandwidth_mbps=80).status_code == 201
    assert web.post("/v1/routes/what-if", json=ASKED).json()["chain"] is None
    assert len(operator.get("/v1/leases").json()["leases"]) == 1


def test_the_same_key_and_request_get_the_same_answer(web):
    first, again = ask(web, "k1"), ask(web, "k1")
    assert (again.status_code, again.json()) == (201, first.json())
    assert ask(web, "k1", bandwidth_mbps=11).status_code == 422
    assert ask(web, "k2").json()["lease"]["id"] != first.json()["lease"]["id"]
    assert len(web.get("/v1/leases").json()["leases"]) == 2


def test_a_refused_request_may_come_again_with_its_key(web):
    lease = ask(web, bandwidth_mbps=80).json()["lease"]["id"]
    assert ask(web, "k").status_code == 409
    web.delete(f"/v1/leases/{lease}")
    assert ask(web, "k").status_code == 201


def test_leases_are_listed_in_pages(web):
    made = {ask(web, bandwidth_mbps=1).json()["lease"]["id"] for _ in range(5)}
    first = web.get("/v1/leases", params={"limit": 3}).json()
    rest = web.get("/v1/leases", params={"limit": 3, "after": first["after"]}).json()
    assert {lease["id"] for lease in first["leases"] + rest["leases"]} == made
    assert rest["after"] is None


def test_a_newer_plan_is_followed(world, web, service):
    lease = ask(web, bandwidth_mbps=80).json()["lease"]["id"]
    world.offer = an_offer(2, ROOM | {"out": 200})
    assert ask(web).status_code == 409
    app = web.app
    web.portal.call(app.state.service.desk.follow)
    assert ask(web).status_code == 201
    world.offer = an_offer(3, ROOM | {"out": 50})
    web.portal.call(app.state.service.desk.follow)
    assert ask(web, bandwidth_mbps=1).status_code == 409
    refused = web.post(f"/v1/leases/{lease}/renew", json={})
    assert (refused.status_code, refused.json()["title"]) == (409, "no room")


def test_another_process_with_a_newer_plan_is_followed(world, web, web_token):
    assert ask(web).status_code == 201
    world.offer = an_offer(2)
    with served(world) as other:
        assert ask(other(web_token)).status_code == 201
        assert ask(web).status_code == 201, "the book's plan is newer than this process's: it reads it"
        assert web.app.state.service.desk.offer.applied == 2


def test_a_newer_plan_that_cannot_be_read_makes_it_say_come_again(world, web, web_token):
    world.offer = an_offer(2)
    with served(world) as other:
        assert ask(other(web_token)).status_code == 201
    world.offer = None  # what reads it fails from now on
    web.app.state.service.desk._offers = lambda: world.offer.applied
    answer = ask(web)
    assert (answer.status_code, answer.json()["title"]) == (503, "a newer plan is being read")
    assert web.get("/v1/leases").status_code == 200


def test_without_a_token_nothing_is_answered(world, service):
    nobody = service("")
    for authorization in ("", "Bearer", "Bearer x", "Basic eDp5", f"Bearer ecm_{'0' * 16}_{'A' * 43}", "Bearer \xff"):
        for method, path in (
            ("POST", "/v1/routes"),
            ("POST", "/v1/routes/what-if"),
            ("GET", "/v1/leases"),
            ("GET", f"/v1/leases/{'0' * 32}"),
            ("POST", f"/v1/leases/{'0' * 32}/renew"),
            ("DELETE", f"/v1/leases/{'0' * 32}"),
            ("GET", "/metrics"),
            ("GET", "/"),
            ("GET", "/no/such/path"),
        ):
            headers = {"Authorization": authorization.encode("latin-1"), "Content-Type": JSON}
            answer = nobody.request(method, path, content=b"{", headers=headers)
            assert answer.status_code == 401, (authorization, method, path)
            assert "www-authenticate" in answer.headers
    assert nobody.get("/healthz").status_code == 200


def test_a_token_that_is_revoked_or_made_while_it_runs_is_known_to_it(world, service, web_token):
    app = service(web_token).app.state.service
    made = world.token("web")
    tokens = Tokens(world.place, STACK)
    tokens.revoke(web_token.split("_")[1])
    tokens.close()
    deadline = time.monotonic() + 20
    while len(app.access._held) != 2 or made.split("_")[1] not in app.access._held:
        assert time.monotonic() < deadline, "a second, says the README"
        time.sleep(0.05)
    assert service(web_token).get("/v1/leases").status_code == 401
    assert service(made).get("/v1/leases").status_code == 200


def test_a_forged_or_expired_token_is_refused(world, service, web_token):
    assert service(web_token).get("/v1/leases").status_code == 200
    changed = web_token[:-1] + ("A" if web_token[-1] != "A" else "B")
    assert service(changed).get("/v1/leases").status_code == 401
    number = web_token.split("_")[1]
    assert service(web_token.replace(number, "0" * 16)).get("/v1/leases").status_code == 401
    world.wait(timedelta(days=30).total_seconds())
    assert service(web_token).get("/v1/leases").status_code == 401


def test_nobody_touches_what_is_anothers(world):
    web_token, other_token, operator_token = world.token("web"), world.token("payroll"), world.token(operator=True)
    with served(world) as of:
        web, other, operator = of(web_token), of(other_token), of(operator_token)
        lease = ask(web).json()["lease"]["id"]
        assert ask(other).status_code == 403
        assert ask(operator).status_code == 403
        assert other.post("/v1/routes/what-if", json=ASKED).status_code == 403
        for client in (other, operator):
            assert client.delete(f"/v1/leases/{lease}").status_code == 404
            assert client.post(f"/v1/leases/{lease}/renew", json={}).status_code == 404
        missing = other.get(f"/v1/leases/{'0' * 32}").json()["detail"].replace("0" * 32, lease)
        assert other.get(f"/v1/leases/{lease}").json()["detail"] == missing, "nobody learns which leases there are"
        assert other.get("/v1/leases").json()["leases"] == []
        assert other.get("/metrics").status_code == other.get("/").status_code == 403
        assert operator.get(f"/v1/leases/{lease}").status_code == 200
        assert len(web.get("/v1/leases").json()["leases"]) == 1


def test_a_key_of_another_application_is_another_key(world):
    web_token, other_token = world.token("web"), world.token("payroll")
    with served(world) as of:
        mine = ask(of(web_token), "k").json()["lease"]
        theirs = ask(of(other_token), "k", application="payroll").json()["lease"]
    assert (mine["application"], theirs["application"]) == ("web", "payroll")
    assert theirs["chain"] == "long", "its profile wants security level 3"


def test_above_its_rate_a_token_is_told_to_wait(world, web_token):
    other_token = world.token("web")
    with served(world, world.settings(rate_per_s=2)) as of:
        said = [of(web_token).get("/v1/leases") for _ in range(6)]
        assert [answer.status_code for answer in said[:4]] == [200] * 4
        assert (said[-1].status_code, said[-1].headers["retry-after"]) == (429, "1")
        assert of(other_token).get("/v1/leases").status_code == 200


@pytest.mark.parametrize(
    ("body", "status", "where"),
    [
        (b"", 422, "body"),
        (b"{", 422, "body"),
        (b"[]", 422, "body"),
        (b'{"application": "web", "vpn": "corp", "bandwidth_mbps": 0}', 422, "bandwidth_mbps"),
        (b'{"application": "web", "vpn": "corp", "bandwidth_mbps": NaN}', 422, "bandwidth_mbps"),
        (b'{"application": "web", "vpn": "corp", "ttl_s": 86401}', 422, "ttl_s"),
        (b'{"application": "web", "vpn": "corp", "chain": "short"}', 422, "chain"),
        (b'{"application": "web", "vpn": "corp", "destinations": ["10.0.0.1/8"]}', 422, "destinations"),
        (b'{"application": "web", "vpn": "other"}', 404, "belongs to VPN 'corp'"),
        (b"\xff\xfe", 422, "body"),
        (b" " * 70_000, 413, "at most 65536 bytes"),
    ],
)
def test_what_is_wrong_with_a_request_is_said(web, body, status, where):
    answer = web.post("/v1/routes", content=body, headers={"Content-Type": JSON})
    assert answer.status_code == status
    assert where in answer.json()["detail"]


def test_a_large_body_is_stopped_though_it_does_not_say_its_length(web):
    answer = web.post("/v1/routes", content=(b" " * 7000 for _ in range(10)), headers={"Content-Type": JSON})
    assert answer.status_code == 413
    assert "at most 65536 bytes" in answer.json()["detail"]


def test_a_request_that_names_all_it_may_is_answered(web):
    much = {
        "regions": [f"us-{'a' * 27}-{n}" for n in range(10)],
        "security_level": 9,
        "latency_ms": 1,
        "loss_pct": 1e-9,
    }
    answer = ask(web, bandwidth_mbps=10_000_000, max_outage_s=1, **much)
    assert answer.status_code == 409
    assert len(answer.json()["decision"]["rejected"]) == 12


def test_an_application_that_is_in_no_plan_is_unknown(world):
    token = world.token("new")
    with served(world) as of:
        answer = ask(of(token), application="new")
    assert (answer.status_code, "not in the applied plan" in answer.text) == (404, True)


def test_metrics_say_what_was_answered_and_promised(web, operator):
    ask(web, bandwidth_mbps=30)
    ask(web, bandwidth_mbps=300)
    page = operator.get("/metrics").text
    assert 'ecm_serve_answers_total{route="/v1/routes",status="201"} 1\n' in page
    assert 'ecm_serve_answers_total{route="/v1/routes",status="409"} 1\n' in page
    assert 'ecm_serve_tier_promised_mbps{tier="out"} 30\n' in page
    assert 'ecm_serve_leases{application="web"} 1\n' in page
    assert "ecm_serve_answer_seconds_count 2\n" in page


def test_every_answer_forbids_what_a_browser_should_not_do(operator):
    for path in ("/", "/healthz", "/v1/leases", "/none"):
        headers = operator.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert "default-src 'none'" in headers["content-security-policy"]


def test_the_status_page_shows_tiers_and_leases_and_escapes(service, web, operator, operator_token):
    lease = ask(web, bandwidth_mbps=30).json()["lease"]["id"]
    page = operator.get("/").text
    assert lease in page
    assert "<td>30</td><td>50</td>" in page.replace("\n", ""), "promised and free of the exit"
    assert "<script" not in page
    browser = service("")
    browser.headers.pop("Authorization")
    assert browser.get("/", auth=("anyone", operator_token)).status_code == 200
    assert browser.get("/v1/leases", auth=("anyone", operator_token)).status_code == 401


def test_what_waits_when_the_service_ends_is_answered(world, web_token):
    with served(world) as of:
        leases = [ask(of(web_token), bandwidth_mbps=1).json()["lease"]["id"] for _ in range(3)]
    reader = Reader(world.place, STACK)
    assert {lease.id for lease in reader.leases(NOW, applications=None, after="", most=9)} == set(leases)
    assert reader.audit() == ()
    reader.close()


def test_a_book_that_cannot_be_read_for_long_is_said_once(caplog):
    turns = iter(
        [BookError("away"), BookError("away"), None, BookError("away"), BookError("otherwise"), StopAsyncIteration]
    )

    async def work():
        turn = next(turns)
        if turn is StopAsyncIteration:
            raise asyncio.CancelledError
        if turn is not None:
            raise turn

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(again(0, work))
    assert [record.getMessage().rsplit(": ", 1)[1] for record in caplog.records] == ["away", "away", "otherwise"]


def test_a_fault_of_one_request_is_not_the_others(world, web):
    desk: Desk = web.app.state.service.desk

    async def together():
        def fault(_writing, _offer):
            raise ZeroDivisionError

        found = await asyncio.gather(
            desk.do(lambda writing, _: writing.free("in")), desk.do(fault), return_exceptions=True
        )
        return [getattr(one, "status", one) for one in found]

    assert web.portal.call(together) == [100, 500]

    async def broken():
        def fault(writing, _offer):
            writing.add(a_lease(writing))
            raise BookError("the disk is full")

        found = await asyncio.gather(
            desk.do(lambda writing, _: writing.add(a_lease(writing))), desk.do(fault), return_exceptions=True
        )
        return [type(one) for one in found]

    assert web.portal.call(broken) == [BookError, BookError], "where the book itself fails, nothing is written"
    assert web.get("/v1/leases").json()["leases"] == []
    desk.close()

    async def late():
        await desk.do(lambda _w, _o: None)

    with pytest.raises(BusyError):
        web.portal.call(late)
