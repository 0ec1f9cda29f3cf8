"""The fleet file's own rules: what people get wrong is refused with the field and the reason."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from ecm.model.fleet import Fleet
from tests.properties.fleets import ROOT


@pytest.fixture
def staging() -> dict[str, Any]:
    return dict(yaml.safe_load((ROOT / "stacks" / "staging.fleet.yaml").read_text()))


def refused(fleet: dict[str, Any]) -> str:
    with pytest.raises(ValidationError) as caught:
        Fleet.model_validate(fleet)
    return str(caught.value)


@pytest.mark.parametrize("ports", ["tcp/0", "tcp/65536", "tcp/90-80", "sctp/1", "tcp/٤٤٣", "tcp/443; drop"])
def test_ports_are_a_protocol_and_an_ascii_range(staging: dict[str, Any], ports: str) -> None:
    staging["applications"][0]["ports"] = [ports]
    assert "ports" in refused(staging)


@pytest.mark.parametrize(
    ("where", "cidr", "message"),
    [
        ("client", "10.65.0.0/18", "network.vpc_cidr 10.65.0.0/16 overlaps vpns.corp.client_cidr 10.65.0.0/18"),
        ("client", "100.96.4.0/24", "network.overlay_cidr 100.96.0.0/11 overlaps vpns.corp.client_cidr"),
        ("destination", "100.64.8.0/24", "applications.intranet.destinations 100.64.8.0/24 overlaps"),
    ],
)
def test_overlapping_ranges_are_named(staging: dict[str, Any], where: str, cidr: str, message: str) -> None:
    if where == "client":
        staging["vpns"][0]["client_cidr"] = cidr
    else:
        staging["applications"][0]["destinations"] = [cidr]
    assert message in refused(staging)


@pytest.mark.parametrize(
    ("tiers", "message"),
    [
        (["corp-out", "corp-in"], "a chain of 2 is ingress, egress"),
        (["corp-in", "corp-core", "corp-out"], "'corp-core' is not declared"),
    ],
)
def test_a_chain_starts_at_an_ingress_and_ends_at_an_egress(
    staging: dict[str, Any], tiers: list[str], message: str
) -> None:
    staging["chains"][0]["tiers"] = tiers
    assert message in refused(staging)


def test_a_tier_belongs_to_one_vpn_and_the_chains_of_a_vpn_share_their_ingress(staging: dict[str, Any]) -> None:
    other = {"id": "lab", "client_cidr": "100.70.0.0/20"}
    staging["vpns"].append(other)
    staging["chains"].append({"id": "lab-main", "vpn": "lab", "tiers": ["corp-in", "corp-out"]})
    assert "a tier belongs to one VPN" in refused(staging)
    staging["vpns"].remove(other)
    staging["tiers"].append({"id": "corp-in-2", "role": "ingress", "image": "vpne-arm64"})
    staging["chains"][1] = {"id": "corp-second", "vpn": "corp", "tiers": ["corp-in-2", "corp-out"]}
    assert "chains of one VPN share their ingress tier" in refused(staging)


def test_unused_tiers_doubled_ids_and_foreign_zones_are_refused(staging: dict[str, Any]) -> None:
    staging["tiers"].append({"id": "spare", "role": "egress", "image": "vpne-arm64"})
    assert "tiers.spare: no chain uses it" in refused(staging)
    staging["tiers"][-1] = dict(staging["tiers"][0])
    assert "tiers: id 'corp-in' is used twice" in refused(staging)
    staging["tiers"].pop()
    staging["zones"] = ["us-east-1a", "eu-west-1b"]
    assert "zones: 'eu-west-1b' is not in region 'us-east-1'" in refused(staging)


def test_an_existing_vpc_comes_with_its_gateway(staging: dict[str, Any]) -> None:
    staging["network"]["vpc_id"] = "vpc-0123456789abcdef0"
    assert "vpc_id and internet_gateway_id go together" in refused(staging)
    staging["network"]["internet_gateway_id"] = "igw-0123456789abcdef0"
    assert Fleet.model_validate(staging).network.vpc_id == "vpc-0123456789abcdef0"
