"""Whatever the routing service is asked, by its OpenAPI document or against it: no fault, and what it says."""

import json
from collections import Counter

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from ecm.serve.app import make_app
from ecm.serve.book import Reader
from ecm.serve.sqlite import SqliteFile
from tests.leases import NOW, ROOM, STACK
from tests.serving import ASKED, World, an_offer, served

CHECKS = [status_code_conformance, content_type_conformance, response_schema_conformance]
USUAL = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    database=None,
    phases=[Phase.explicit, Phase.generate],
)
"""A failing request is shown as it was drawn: to shrink one takes minutes."""
OPERATIONS = (
    "POST /v1/routes",
    "POST /v1/routes/what-if",
    "GET /v1/leases",
    "GET /v1/leases/{lease_id}",
    "POST /v1/leases/{lease_id}/renew",
    "DELETE /v1/leases/{lease_id}",
    "GET /healthz",
)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return World(
        SqliteFile(tmp_path_factory.mktemp("fuzz") / "leases.db"), offer=an_offer(room=dict.fromkeys(ROOM, 3000))
    )


@pytest.fixture(scope="module")
def document(world):
    return schemathesis.openapi.from_dict(make_app(world.settings()).openapi())


@pytest.fixture(scope="module")
def web(world):
    token = world.token("web", "payroll")
    with served(world) as of:
        yield of(token)


def send(client, case):
    words = case.as_transport_kwargs(base_url="http://testserver")
    words.pop("cookies", None)
    sent = {name: value for name, value in words.pop("headers").items() if name.lower() != "authorization"}
    return client.request(**words, headers=sent)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_the_service_does_what_its_document_says(operation, document, web):
    """Requests by the document; those for a route mostly for an application and chain that there are."""
    method, path = operation.split()
    lease = web.post("/v1/routes", json=ASKED | {"bandwidth_mbps": 1, "ttl_s": 86_400}).json()["lease"]["id"]
    seen = Counter()

    @USUAL
    @given(case=document[path][method].as_strategy(), known=st.booleans(), mbps=st.none() | st.integers(1, 90))
    def check(case, known, mbps):
        if known and isinstance(case.body, dict) and "application" in case.body:
            case.body |= {
                "application": "web",
                "vpn": "corp",
                "bandwidth_mbps": mbps,
                "destinations": [],
                "source": None,
            }
        if known and case.path_parameters:
            case.path_parameters["lease_id"] = lease
        answer = send(web, case)
        seen[answer.status_code] += 1
        assert answer.status_code < 500, answer.text
        case.validate_response(answer, checks=CHECKS)

    check()
    assert any(status < 300 for status in seen), seen


def test_the_document_has_no_more_than_is_tried(document):
    assert {found.ok().label for found in document.get_all_operations()} == set(OPERATIONS)


odd = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@USUAL
@given(
    body=st.binary(max_size=60)
    | odd.map(json.dumps).map(str.encode)
    | st.dictionaries(st.sampled_from([*ASKED, "source", "ports", "destinations", "priority"]), odd).map(
        lambda changed: json.dumps(ASKED | changed).encode()
    ),
    key=st.none() | st.binary(max_size=300),
    kind=st.sampled_from(["application/json", "text/plain", "application/x-www-form-urlencoded", ""]),
    to=st.tuples(
        st.sampled_from(["GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD"]),
        st.sampled_from(["/v1/routes", "/v1/routes/what-if", "/v1/leases", "/v1/leases/x/renew", "/", "/metrics"]),
    ),
)
def test_what_is_against_the_document_is_refused_in_words(web, body, key, kind, to):
    clean = None if key is None else bytes(b for b in key if b not in b"\r\n\0")
    headers = {"Content-Type": kind, **({"Idempotency-Key": clean} if clean is not None else {})}
    answer = web.request(*to, content=body, headers=headers)
    assert answer.status_code < 500, answer.text
    if answer.status_code >= 400 and to[0] != "HEAD":
        assert answer.json()["status"] == answer.status_code
        assert answer.headers["content-type"] == "application/problem+json"


def test_the_book_is_sound_after_all_of_it(world, web):
    reader = Reader(world.place, STACK)
    assert reader.audit() == ()
    assert reader.counts(NOW)["web"] > 0
    reader.close()
