"""What a plan says of overlays: whose, and which chains they may choose; and what nodes are told of it."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from ecm import intent
from ecm.cli.exits import CommandError
from ecm.cli.settings import read_settings, write_overlay_signers
from ecm.model.plan import Decision, Desired
from ecm.pipeline import World, decide_from
from tests.cli import ROOT
from tests.forecasts import AS_OF, a_forecast, a_history
from tests.overlays import SERVICE, choosing
from tests.unit.render_states import documents, render

NFT = "/etc/ecm/nftables.conf"
EDGE, OUT = "edge/us-east-1a/0#1", "out/us-east-1a/0#1"


def prod(*signers: str) -> Desired:
    written = intent.load(ROOT, "prod")
    load = dict.fromkeys((a.id for a in written.fleet.applications), 100)
    world = World(as_of=AS_OF, overlay_signers=signers, templates=ROOT / "templates")
    made = decide_from(written, a_history(written.fleet, load), a_forecast(written.fleet, load), world)
    assert made.plan is not None
    return made.plan.desired


def test_an_overlay_may_choose_the_chains_of_the_plan_that_are_secure_enough():
    assert prod().overlay is None
    desired = prod(SERVICE.public)
    written = intent.load(ROOT, "prod")
    profiles = {p.id: p for p in written.qos.profiles}
    levels = {(c.vpn, c.id): c.security_level for c in desired.chains}
    assert desired.overlay.signers == (SERVICE.public,)
    found = {choice.application: choice.chains for choice in desired.overlay.choices}
    for application in written.fleet.applications:
        needed = profiles[application.profile].security_level
        assert set(found[application.id]) == {
            chain
            for (vpn, chain), level in levels.items()
            if vpn == application.vpn and level >= needed and (not application.chains or chain in application.chains)
        }
    of_vpn = {a.id: sum(vpn == a.vpn for vpn, _ in levels) for a in written.fleet.applications}
    assert any(len(chains) > 1 for chains in found.values())
    assert any(len(chains) < of_vpn[name] for name, chains in found.items()), "the check tells them apart"


@pytest.mark.parametrize(("before", "after"), [((), (SERVICE.public,)), ((SERVICE.public,), ())])
def test_who_may_steer_traffic_is_named_and_never_applied_without_a_person(before, after):
    written = intent.load(ROOT, "dev")
    load = dict.fromkeys((a.id for a in written.fleet.applications), 100)
    history, predicted = a_history(written.fleet, load), a_forecast(written.fleet, load)
    first = World(as_of=AS_OF, overlay_signers=before, templates=ROOT / "templates")
    stands = decide_from(written, history, predicted, first).plan
    then = replace(first, overlay_signers=after, previous=stands, basis=stands.digest)
    made = decide_from(written, history, predicted, then).plan
    (named,) = [c for c in made.changes if c.subject == "overlay"]
    assert f"key {SERVICE.public[:12]} may" in named.detail
    assert made.verdict.decision is Decision.REVIEW
    assert [
        c.subject for c in decide_from(written, history, predicted, replace(then, previous=made)).plan.changes
    ] == []


def test_only_ingress_nodes_of_such_a_stack_are_told_and_have_the_map():
    found = documents(render(choosing()))
    terms = found[EDGE]["overlay"]
    assert terms["object"] == "vpns/corp/overlay.json"
    assert terms["signers"] == [SERVICE.public]
    marks = {
        a["application"]: (a["base"], {c["chain"]: c["mark"] for c in a["choices"]}) for a in terms["applications"]
    }
    assert marks["web"] == ("0x10100001", {"fast": "0x10200001", "guarded": "0x10100001"})
    assert marks["secret"] == ("0x10100003", {"guarded": "0x10100003"})
    assert marks["vpc"] == ("0x10200004", {"fast": "0x10200004"}), "workloads have no way back on the other"
    firewall = found[EDGE]["files"][NFT]
    assert "map choices { type ipv4_addr . ipv4_addr . inet_proto . inet_service . mark : mark;" in firewall
    assert re.search(r"jump classify_forward\n    ct mark 0x0 counter drop .*\n    jump choose\n    goto new", firewall)
    assert "overlay" not in found[OUT]
    assert "choices" not in found[OUT]["files"][NFT]
    plain = documents(render(choosing(overlay=None)))
    assert "overlay" not in plain[EDGE], "agents of before there were overlays read it"
    assert "choose" not in plain[EDGE]["files"][NFT]


def test_the_service_has_a_key_of_its_own(tmp_path):
    (tmp_path / "stacks").mkdir()
    assert read_settings(tmp_path, "dev").overlay_signers == ()
    path = write_overlay_signers(tmp_path, "dev", (SERVICE.public,))
    assert read_settings(tmp_path, "dev").overlay_signers == (SERVICE.public,)
    path.write_text(path.read_text() + f"  endpoint-chain-manager:signers: {SERVICE.public}\n")
    with pytest.raises(CommandError, match=r"overlay_signers: .* also signs what nodes run"):
        read_settings(tmp_path, "dev")
    path.write_text("config:\n  endpoint-chain-manager:overlay_signers: secret\n")
    with pytest.raises(CommandError, match=r"Pulumi\.dev\.yaml.*'secret' is no public key"):
        read_settings(tmp_path, "dev")
