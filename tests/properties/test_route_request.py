"""The chain for one request: it meets what is hard, nothing cheaper does, and asking for more never costs less."""

from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st

from ecm import routing
from ecm.model.fleet import WayIn
from ecm.model.policy import OnViolation
from ecm.model.request import ChainState, RouteRequest, Stated, TierRoom
from ecm.pipeline import World
from ecm.pipeline.decision import _Study
from ecm.routing.request import HARD, choose, failures, merged, open_to
from tests.forecasts import AS_OF, a_forecast
from tests.properties.fleets import ROOT, Wanted, an_intent, applications, loads
from tests.serving import a_profile

ASKED = RouteRequest(application="web", vpn="corp")
REGIONS = ("us-east-1", "eu-west-1")
WORLD = World(as_of=AS_OF, templates=ROOT / "templates")


def stated(highest):
    return st.integers(0, highest).map(lambda value: Stated(value=value, origin="drawn"))


@st.composite
def states(draw, most=5):
    numbers = draw(st.integers(0, most))
    return tuple(
        ChainState(
            chain=f"c{n}",
            vpn=draw(st.sampled_from(["corp", "corp", "corp", "other"])),
            region=draw(st.sampled_from(REGIONS)),
            tiers=tuple(
                TierRoom(tier=f"t{n}-{k}", residual_mbps=draw(st.integers(0, 40)), origin="drawn")
                for k in range(draw(st.integers(1, 3)))
            ),
            entry="corp.example.com",
            security_level=draw(stated(4)),
            latency_us=draw(stated(40_000)),
            loss_ppm=draw(stated(2000)),
            outage_s=draw(stated(60)),
            availability_ppm=draw(stated(1_000_000)),
            marginal_usd_micro=draw(stated(3)),
        )
        for n in range(numbers)
    )


requests = st.builds(
    RouteRequest,
    application=st.just("web"),
    vpn=st.just("corp"),
    bandwidth_mbps=st.none() | st.integers(1, 40),
    latency_ms=st.none() | st.integers(1, 40),
    loss_pct=st.none() | st.floats(0.001, 0.2),
    max_outage_s=st.none() | st.integers(1, 60),
    security_level=st.none() | st.integers(0, 4),
    regions=st.sampled_from([(), REGIONS[:1], REGIONS]),
    on_violation=st.none() | st.sampled_from(OnViolation),
)
profiles = st.builds(a_profile, security_level=st.integers(0, 2), latency_ms=st.integers(5, 40))


def misses(wanted, state):
    """What a chain fails, said once more in the plainest way."""
    found = {
        "security_level": state.security_level.value < wanted.security_level,
        "regions": bool(wanted.regions) and state.region not in wanted.regions,
        "bandwidth_mbps": min(t.residual_mbps for t in state.tiers) < (wanted.bandwidth_mbps or 0),
        "latency_ms": state.latency_us.value > wanted.latency_ms * 1000,
        "loss_pct": state.loss_ppm.value > wanted.loss_pct * 10_000,
        "max_outage_s": state.outage_s.value > wanted.max_outage_s,
    }
    return {name for name, missed in found.items() if missed}


@given(requests, profiles, states())
def test_what_is_chosen_meets_what_it_must_and_nothing_better_is_cheaper(asked, profile, chains):
    wanted = merged(asked, profile)
    made = choose(asked, profile, chains)
    ours = [c for c in chains if c.vpn == "corp"]
    missed = {c.chain: misses(wanted, c) for c in ours}
    assert {c.chain: {r.requirement for r in failures(wanted, c)} for c in ours} == missed
    clean = [c for c in ours if not missed[c.chain]]
    soft = [c for c in ours if not missed[c.chain] & HARD]
    strict = wanted.on_violation is OnViolation.STRICT
    if made.chain is None:
        assert not clean
        assert strict or not soft
        return
    taken = next(c for c in ours if c.chain == made.chain)
    assert {r.requirement for r in made.violated} == missed[made.chain]
    assert not missed[made.chain] & HARD
    assert not (strict and made.violated)
    best = min((len(missed[c.chain]), c.marginal_usd_micro.value, c.chain) for c in soft)
    assert (len(made.violated), taken.marginal_usd_micro.value, taken.chain) == best
    assert made.usd_micro_per_hour == (wanted.bandwidth_mbps or 0) * taken.marginal_usd_micro.value
    assert {r.candidate for r in made.rejected} == {c.chain for c in ours} - {made.chain}


@given(requests, profiles, states(), st.randoms(use_true_random=False))
def test_the_order_of_the_chains_does_not_matter(asked, profile, chains, chance):
    other = list(chains)
    chance.shuffle(other)
    assert choose(asked, profile, tuple(other)) == choose(asked, profile, chains)


@given(
    requests, profiles, states(), st.sampled_from(["latency_ms", "max_outage_s", "security_level", "bandwidth_mbps"])
)
def test_a_tighter_request_never_gets_a_cheaper_chain(asked, profile, chains, name):
    asked = asked.model_copy(update={"on_violation": OnViolation.STRICT})
    now = getattr(merged(asked, profile), name) or 1
    tighter = now + 1 if name in ("security_level", "bandwidth_mbps") else max(now - 1, 1)
    before, after = (choose(a, profile, chains) for a in (asked, asked.model_copy(update={name: tighter})))
    price = {c.chain: c.marginal_usd_micro.value for c in chains}
    if after.chain is not None:
        assert before.chain is not None
        assert price[after.chain] >= price[before.chain]


@given(requests, profiles, states())
def test_a_refusal_names_the_fewest_requirements_that_no_chain_meets_together(asked, profile, chains):
    made = choose(asked, profile, chains)
    if made.chain is not None:
        assert made.conflict == ()
        return
    missed = [misses(merged(asked, profile), c) for c in chains if c.vpn == "corp"]
    assert all(set(made.conflict) & chain for chain in missed)
    for fewer in combinations(made.conflict, max(len(made.conflict) - 1, 0)):
        assert not missed or not all(set(fewer) & chain for chain in missed)
    assert made.relaxation


def test_what_a_request_leaves_out_is_its_profiles():
    profile = a_profile(security_level=3, latency_ms=7, bandwidth_mbps=9, on_violation=OnViolation.FALLBACK)
    wanted = merged(ASKED.model_copy(update={"latency_ms": 5}), profile)
    assert (wanted.latency_ms, wanted.security_level, wanted.bandwidth_mbps) == (5, 3, 9)
    assert wanted.on_violation is OnViolation.FALLBACK
    assert merged(ASKED, a_profile(bandwidth_mbps=0)).bandwidth_mbps is None


def test_without_a_chain_of_its_vpn_it_is_said():
    made = choose(ASKED, a_profile(), ())
    assert (made.chain, made.relaxation) == (None, "VPN corp has no chain")


def offered(facts: routing.ChainFacts, tiers: tuple[str, ...]) -> ChainState:
    """A chain with all the room in the world."""
    numbers = {
        "security_level": facts.security_level,
        "latency_us": facts.latency_us,
        "loss_ppm": facts.loss_ppm,
        "outage_s": facts.outage_s,
        "availability_ppm": 1_000_000,
        "marginal_usd_micro": len(tiers),
    }
    return ChainState(
        chain=facts.chain,
        vpn="v",
        region="us-east-1",
        tiers=tuple(TierRoom(tier=t, residual_mbps=10**6, origin="tests") for t in tiers),
        entry="v",
        **{name: Stated(value=value, origin="tests") for name, value in numbers.items()},
    )


@given(applications(), loads())
@settings(deadline=None, max_examples=40)
def test_requests_and_assignments_refuse_a_chain_for_the_same_requirements(
    wanted: tuple[Wanted, ...], mbps: list[int]
) -> None:
    intent = an_intent(wanted)
    load = {a.id: mbps[n] for n, a in enumerate(intent.fleet.applications)}
    study = _Study(intent, a_forecast(intent.fleet, load), WORLD)
    for written in intent.fleet.applications:
        for way_in in WayIn:
            application = written.model_copy(update={"way_in": way_in})
            profile = study.profiles[application.id]
            chains = routing.candidates(intent.fleet, application)
            whole = tuple(offered(study.facts[c.id], c.tiers) for c in chains)
            given_to = open_to(application, whole, intent.limits)
            asked = merged(RouteRequest(application=application.id, vpn="v"), profile)
            for state in given_to:
                refused = routing.failed_requirements(application, profile, study.facts[state.chain], intent.limits)
                assert [(r.requirement, r.have) for r in refused] == [
                    (r.requirement, r.have) for r in failures(asked, state)
                ]
            decision = choose(asked, profile, given_to)
            fits = [s for s in given_to if not failures(asked, s)]
            if fits:
                least = min(s.marginal_usd_micro.value for s in fits)
                assert decision.chain == min(s.chain for s in fits if s.marginal_usd_micro.value == least)
            elif decision.chain is not None:
                assert {r.requirement for r in decision.violated}.isdisjoint(HARD)
