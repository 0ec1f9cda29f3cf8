"""Files that people write: what is read, and what each mistake says."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from ecm.intent import Intent, IntentError, Problem, load
from ecm.intent.quantities import convert

ROOT = Path(__file__).resolve().parents[2]
Edit = Callable[[str, str, str], Path]


@pytest.fixture
def edit(tmp_path: Path) -> Edit:
    """Copy the examples and replace `old` by `new` once in one file."""
    for folder in ("stacks", "policies"):
        shutil.copytree(ROOT / folder, tmp_path / folder)

    def change(name: str, old: str, new: str) -> Path:
        path = tmp_path / name
        text = path.read_text(encoding="utf-8")
        assert old in text, f"{name} no longer holds {old!r}"
        path.write_text(text.replace(old, new, 1), encoding="utf-8")
        return tmp_path

    return change


def problems(root: Path, stack: str = "dev") -> tuple[Problem, ...]:
    with pytest.raises(IntentError) as caught:
        load(root, stack)
    assert caught.value.problems
    for problem in caught.value.problems:
        assert problem.remedy
        assert problem.what
        assert str(problem) in str(caught.value)
    return caught.value.problems


def only(root: Path, stack: str = "dev") -> Problem:
    found = problems(root, stack)
    assert len(found) == 1, found
    return found[0]


@pytest.mark.parametrize("stack", ["dev", "staging", "prod"])
def test_the_examples_load(stack: str) -> None:
    intent = load(ROOT, stack)
    assert isinstance(intent, Intent)
    assert intent.fleet.stack == stack


def test_limits_of_a_stack_lie_over_those_of_all_stacks() -> None:
    dev, prod = load(ROOT, "dev").limits, load(ROOT, "prod").limits
    assert dev.budget_usd_per_hour == 15_000_000
    assert prod.budget_usd_per_hour == 150_000_000
    assert not prod.approval.additive_automatic
    assert dev.approval.additive_automatic
    assert dev.lead == prod.lead


def test_a_partial_override_of_a_nested_mapping_keeps_the_rest(edit: Edit) -> None:
    root = edit("policies/limits.yaml", "  dev:\n", "  dev:\n    lead: {up_min: 9}\n")
    lead = load(root, "dev").limits.lead
    assert lead.up_min == 9
    assert lead.boot_to_healthy_min == load(ROOT, "dev").limits.lead.boot_to_healthy_min


def test_an_error_in_an_override_is_named_where_it_stands(edit: Edit) -> None:
    root = edit("policies/limits.yaml", "  dev:\n", "  dev:\n    lead: {up_min: 4 min}\n")
    problem = only(root)
    assert (problem.file, problem.field) == ("policies/limits.yaml", "stacks.dev.lead.up_min")
    assert problem.remedy == "write up_min: 4"


def test_unknown_key(edit: Edit) -> None:
    problem = only(edit("stacks/dev.fleet.yaml", "    profile: bulk\n", "    profile: bulk\n    prots: [tcp/80]\n"))
    assert (problem.file, problem.field) == ("stacks/dev.fleet.yaml", "applications.web.prots")
    assert problem.remedy == "did you mean ports?"


def test_unknown_key_that_resembles_nothing_lists_the_fields(edit: Edit) -> None:
    problem = only(edit("stacks/dev.fleet.yaml", "stack: dev\n", "stack: dev\nzzz: 1\n"))
    assert problem.field == "zzz"
    assert "applications" in problem.remedy
    assert problem.remedy.startswith("remove it")


@pytest.mark.parametrize(
    ("written", "number"),
    [("latency: 20ms", "20"), ("latency: 0.02 s", "20"), ("latency_ms: 20ms", "20"), ("latency_ms: 20 ms", "20")],
)
def test_wrong_unit(edit: Edit, written: str, number: str) -> None:
    problem = only(edit("policies/qos.yaml", "latency_ms: 6\n", f"{written}\n"))
    assert (problem.file, problem.field) == ("policies/qos.yaml", f"profiles.realtime.{written.partition(':')[0]}")
    assert problem.remedy == f"write latency_ms: {number}"


@pytest.mark.parametrize(
    ("value", "field", "number"),
    [
        ("20ms", "latency_ms", "20"),
        ("2 min", "max_outage_s", "120"),
        ("1.5 Gbit/s", "bandwidth_mbps", "1500"),
        ("70%", "max_utilisation_permille", "700"),
        (20, "latency_ms", "20"),
        ("20ms", "bandwidth_mbps", None),
        ("fast", "latency_ms", None),
        ("20ms", "name", None),
    ],
)
def test_quantities(value: object, field: str, number: str | None) -> None:
    assert convert(value, field) == number


def test_missing_price(edit: Edit) -> None:
    problem = only(edit("policies/catalog.yaml", "    usd_per_hour: 0.0168\n", ""))
    assert (problem.file, problem.field) == ("policies/catalog.yaml", "shapes.t4g.small.usd_per_hour")
    assert problem.what == "this field is missing"
    assert problem.remedy == "add usd_per_hour"


def test_price_of_zero(edit: Edit) -> None:
    problem = only(edit("policies/catalog.yaml", "usd_per_hour: 0.0168", "usd_per_hour: 0"))
    assert problem.field == "shapes.t4g.small.usd_per_hour"
    assert "without a price" in problem.what


def test_every_problem_of_every_file_is_listed(edit: Edit) -> None:
    edit("stacks/dev.fleet.yaml", "    profile: bulk\n", "    profile: 7\n    prots: []\n")
    root = edit("policies/limits.yaml", "hold_min: 120", "hold_min: two hours")
    found = {(p.file, p.field) for p in problems(root)}
    assert found == {
        ("stacks/dev.fleet.yaml", "applications.web.prots"),
        ("stacks/dev.fleet.yaml", "applications.web.profile"),
        ("policies/limits.yaml", "hold_min"),
    }


def test_overlapping_addresses(edit: Edit) -> None:
    problem = only(edit("stacks/dev.fleet.yaml", "client_cidr: 100.64.0.0/20", "client_cidr: 10.64.16.0/20"))
    assert problem.field == "network.vpc_cidr"
    assert "overlaps vpns.lab.client_cidr 10.64.16.0/20" in problem.what
    assert problem.remedy == "give each range addresses of its own"


@pytest.mark.parametrize(
    ("file", "old", "new", "field", "what", "remedy"),
    [
        ("stacks/dev.fleet.yaml", "profile: bulk", "profile: gold", "applications.web.profile", "no such", "bulk"),
        ("stacks/dev.fleet.yaml", "vpn: lab\n", "vpn: lub\n", "applications.web.vpn", "'lub' is not declared", "lab"),
        ("stacks/dev.fleet.yaml", "vpne-arm64", "vpne-mips", "tiers.lab-in.image", "no such image", "vpne-arm64"),
        ("stacks/dev.fleet.yaml", "c6gn.medium", "c9gn.medium", "tiers.lab-in.shapes", "no such shape", "c6gn.medium"),
        ("stacks/dev.fleet.yaml", "stack: dev", "stack: prod", "stack", "stack 'dev'", "write stack: dev"),
        ("policies/catalog.yaml", "region: us-east-1", "region: eu-west-1", "region", "'us-east-1'", "us-east-1"),
    ],
)  # fmt: skip
def test_references(edit: Edit, file: str, old: str, new: str, field: str, what: str, remedy: str) -> None:  # noqa: PLR0917
    problem = only(edit(file, old, new))
    assert (problem.file, problem.field) == (file, field)
    assert what in problem.what
    assert remedy in problem.remedy


def test_image_of_another_architecture(edit: Edit) -> None:
    found = problems(edit("stacks/dev.fleet.yaml", "vpne-arm64", "vpne-x86"))
    assert {p.field for p in found} == {"tiers.lab-in.shapes"}
    assert all("arm64" in p.what and "x86_64" in p.what for p in found)


def test_security_level_beyond_the_defined_ones(edit: Edit) -> None:
    problem = only(edit("policies/qos.yaml", "security_level: 1", "security_level: 9"))
    assert problem.field == "profiles.realtime.security_level"
    assert "defines levels up to 4" in problem.what


def test_a_planning_quantile_outside_the_limits_is_refused_not_cut(edit: Edit) -> None:
    price = "violated_minute_usd: 2.50\n"
    problem = only(edit("policies/qos.yaml", price, f"{price}    planning_quantile_permille: 995\n"))
    assert (problem.file, problem.field) == ("policies/qos.yaml", "profiles.realtime.planning_quantile_permille")
    assert problem.what == "policies/limits.yaml allows 900 to 990"
    inside = load(edit("policies/qos.yaml", "permille: 995", "permille: 985"), "dev")
    assert next(p for p in inside.qos.profiles if p.id == "realtime").planning_quantile_permille == 985


def test_host_outside_the_dns_zone(edit: Edit) -> None:
    problem = only(edit("stacks/dev.fleet.yaml", "    holidays: US\n", "    holidays: US\n    host: vpn.example.org\n"))
    assert problem.field == "vpns.lab.host"
    assert "dns_zone" in problem.remedy


def test_event_of_an_application_of_another_vpn(edit: Edit) -> None:
    fleet = load(ROOT, "prod").fleet
    application = fleet.applications[0]
    other = next(v.id for v in fleet.vpns if v.id != application.vpn)
    event = "{id: mixed, kind: campaign, start: 2026-11-27T08:00:00Z, end: 2026-11-28T00:00:00Z, "
    event += f"application: {application.id}, vpn: {other}}}"
    problem = only(edit("stacks/prod.fleet.yaml", "events:\n", f"events:\n  - {event}\n"), "prod")
    assert problem.field == "events.mixed.vpn"
    assert f"write vpn: {application.vpn}" in problem.remedy


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("stack: dev\nstack: prod\n", "line 2, column 1: key 'stack' is written twice"),
        ("stack: [\n", "line 2"),
        ("- a\n- b\n", "holds list, not a mapping"),
        ("stack: !!python/object/apply:os.system [id]\n", "could not determine a constructor"),
        ("1: x\n", "key 1 is not text"),
        ("a: " + "[" * 5000, ""),
        ("", "holds NoneType"),
    ],
)
def test_broken_yaml(edit: Edit, text: str, what: str) -> None:
    root = edit("stacks/dev.fleet.yaml", "stack: dev", "stack: dev")
    (root / "stacks/dev.fleet.yaml").write_text(text, encoding="utf-8")
    problem = only(root)
    assert problem.file == "stacks/dev.fleet.yaml"
    assert what in problem.what


def test_missing_file(edit: Edit) -> None:
    root = edit("stacks/dev.fleet.yaml", "stack: dev", "stack: dev")
    (root / "policies/security.yaml").unlink()
    problem = only(root)
    assert problem.file == "policies/security.yaml"
    assert "does not exist" in problem.what


@pytest.mark.parametrize("stack", ["../../etc/passwd", "Dev", "", "a" * 40, "dev\n"])
def test_hostile_stack_names_never_reach_a_path(stack: str) -> None:
    assert only(ROOT, stack).file == "stack"


@pytest.mark.parametrize(
    "hostile", ["web; rm -rf /", "web\\n[Peer]", "{{ 7*7 }}", "$(id)", "../web", "WEB", "wéb", "\\x1b[31mweb"]
)
def test_hostile_names(edit: Edit, hostile: str) -> None:
    problem = only(edit("stacks/dev.fleet.yaml", "id: web", f'id: "{hostile}"'))
    assert problem.field.startswith("applications.")
    assert problem.field.isprintable()
    assert problem.value.isprintable()
    assert "lower case letters" in problem.remedy


def test_scalars_are_those_of_yaml_1_2(edit: Edit) -> None:
    root = edit("policies/security.yaml", "allowed_countries: [", "allowed_countries: [NO, ")
    assert load(root, "dev").security.allowed_countries[0] == "NO"


def test_a_time_needs_its_zone(edit: Edit) -> None:
    root = edit(
        "stacks/dev.fleet.yaml",
        "tiers:\n",
        "events:\n  - {id: sale, kind: campaign, start: 2026-11-27T08:00:00, end: 2026-11-28T00:00:00Z}\ntiers:\n",
    )
    problem = only(root)
    assert problem.field == "events.sale.start"
    assert problem.value == "'2026-11-27T08:00:00'"
    assert "time zone" in problem.remedy
