"""The fleet file and import list of an existing network."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecm import intent
from ecm.adopt import AdoptError, Asked, Interface, fleet_text, import_list, parse, peer_tables
from ecm.adopt.space import free_part
from ecm.guardrails.rule import Bounds, Resource
from ecm.guardrails.tags import RULES
from ecm.model.adopted import Adopted, AdoptedGroup, AdoptedSubnet, AdoptedVpc, Existing
from ecm.model.base import canonical
from ecm.model.fleet import Fleet
from ecm.store import open_store

ROOT = Path(__file__).resolve().parents[2]
VPC, GATEWAY, TABLE = "vpc-0123456789abcdef0", "igw-0123456789abcdef0", "rtb-0123456789abcdef0"
ASKED = Asked("byhand", "us-east-1", None, None, "bulk", "vpne-arm64", (51820, 51821))
KEYS = ("HIgo9xNzJMWLKASShiTqIybxZ0U3wGLiUeJ1PKf8ykw=", "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=")


def an_interface(name: str = "wg0", address: str = "10.8.0.1/24", allowed: str = "10.8.0.2/32") -> Interface:
    text = f"[Interface]\nAddress = {address}\n[Peer]\nPublicKey = {KEYS[0]}\nAllowedIPs = {allowed}\n"
    return parse(name, text.encode())


def existing(*cidrs: str, name: str = "", description: str = "old", vpc: str = "10.0.0.0/16") -> Existing:
    subnets = tuple(
        AdoptedSubnet(id=f"subnet-{n:017x}", zone=f"us-east-1{'ab'[n % 2]}", cidr=cidr, public_ip_on_launch=bool(n))
        for n, cidr in enumerate(cidrs or ("10.0.0.0/24", "10.0.1.0/24"))
    )
    group = AdoptedGroup(id="sg-0123456789abcdef0", name=name or "wg", description=description)
    return Existing(
        vpc_id=VPC,
        internet_gateway_id=GATEWAY,
        ranges=(vpc,),
        taken=tuple(s.cidr for s in subnets),
        adopted=Adopted(
            vpc=AdoptedVpc(cidr=vpc, dns_support=True, dns_hostnames=False, tenancy="default"),
            subnets=subnets,
            route_tables=(TABLE,),
            security_groups=(group,),
        ),
        names={VPC: name} if name else {},
        left=("1 instance (i-1)",),
    )


def loaded(folder: Path, text: str) -> Fleet:
    """What `ecm` itself makes of the text, with the project's policies."""
    shutil.copytree(ROOT / "policies", folder / "policies", dirs_exist_ok=True)
    (folder / "stacks").mkdir(exist_ok=True)
    (folder / "stacks" / "byhand.fleet.yaml").write_text(text, encoding="utf-8")
    return intent.load(folder, "byhand").fleet


def test_the_fleet_file_loads_and_has_every_fact(tmp_path: Path) -> None:
    found = existing()
    fleet = loaded(tmp_path, fleet_text(ASKED, found, (an_interface(), an_interface("wg1", "10.9.0.1/22", "10.9.0.2"))))
    assert fleet.network.adopted == found.adopted
    assert (fleet.network.vpc_id, fleet.network.internet_gateway_id) == (VPC, GATEWAY)
    assert [(v.id, str(v.client_cidr)) for v in fleet.vpns] == [("wg0", "10.8.0.0/24"), ("wg1", "10.9.0.0/22")]
    assert fleet.zones == ("us-east-1a", "us-east-1b")


def test_what_cannot_be_known_is_marked() -> None:
    text = fleet_text(ASKED, existing(), (an_interface(allowed="10.8.0.2/32, 192.168.0.0/16, fd00::/8"),))
    checks = [line for line in text.splitlines() if "CHECK:" in line]
    for word in ("DNS", "192.168.0.0/16", "IPv6", "time_zone", "applications", "tier"):
        assert any(word in line for line in checks), word
    assert "Not adopted: 1 instance (i-1)" in text
    assert KEYS[0] not in text


_HOSTILE = st.text(min_size=1, max_size=80)


@settings(deadline=None, max_examples=60)  # each example reads every policy file
@given(name=_HOSTILE, stem=_HOSTILE, description=st.from_regex(r"\A[^\x00-\x1f\x7f]{0,200}\Z"))
def test_names_that_people_gave_never_leave_their_place(
    tmp_path_factory: pytest.TempPathFactory, name: str, stem: str, description: str
) -> None:
    group = "".join(c for c in name if c.isprintable()) or "wg"
    found = existing(name=group, description=description).model_copy(update={"names": {VPC: name}})
    one = replace(an_interface(), name=stem)
    fleet = loaded(tmp_path_factory.mktemp("hostile"), fleet_text(ASKED, found, (one,)))
    assert fleet.network.adopted == found.adopted


def test_the_part_for_ecm_is_free_of_subnets_and_clients() -> None:
    text = fleet_text(
        ASKED, existing("10.0.0.0/20", "10.0.64.0/24"), (an_interface(address="10.0.130.1/24", allowed="10.0.130.2"),)
    )
    assert "vpc_cidr: 10.0.192.0/18 " in text
    assert free_part(VPC, [IPv4Network("10.0.0.0/18")], [IPv4Network("10.0.0.0/24")]) == IPv4Network("10.0.32.0/19")


@pytest.mark.parametrize(
    ("asked", "found", "message"),
    [
        (ASKED, existing("10.0.0.0/18", vpc="10.0.0.0/18"), "associate-vpc-cidr-block"),
        (replace(ASKED, vpc_cidr=IPv4Network("10.1.0.0/18")), existing(), "is not in vpc-"),
        (replace(ASKED, vpc_cidr=IPv4Network("10.0.0.0/18")), existing(), "overlaps the subnet 10.0.0.0/24"),
        (replace(ASKED, vpc_cidr=IPv4Network("10.0.64.0/24")), existing(), "give a part of /16 to /20"),
        (replace(ASKED, client_cidr=IPv4Network("10.9.0.0/24")), existing(), "is outside 10.9.0.0/24"),
    ],
)
def test_what_does_not_fit_is_refused(asked: Asked, found: Existing, message: str) -> None:
    with pytest.raises(AdoptError, match=message):
        fleet_text(asked, found, (an_interface(),))


def test_files_of_one_name_and_unknown_clients_are_refused() -> None:
    with pytest.raises(AdoptError, match="another file has the same name"):
        fleet_text(ASKED, existing(), (an_interface("wg-0"), an_interface("WG 0")))
    with pytest.raises(AdoptError, match="--client-cidr"):
        fleet_text(ASKED, existing(), (parse("wg0", b"[Interface]\n"),))


def test_the_import_list_names_what_the_program_declares() -> None:
    rows = json.loads(import_list((VPC, GATEWAY), existing().adopted))["resources"]
    assert rows[0] == {"type": "ecm:aws:Adopted", "name": "adopted", "component": True}
    assert all(row["name"] == row["id"] and row["parent"] == "adopted" for row in rows[1:])
    assert [row["type"].partition(":")[2].partition("/")[2].partition(":")[0] for row in rows[1:]] == [
        "vpc",
        "internetGateway",
        "subnet",
        "subnet",
        "routeTable",
        "securityGroup",
    ]


def test_a_network_that_adopts_nothing_has_the_digest_that_it_had() -> None:
    dev = intent.load(ROOT, "dev").fleet
    assert b"adopted" not in canonical(dev)


def test_subnets_of_ecm_beside_adopted_ones_only(tmp_path: Path) -> None:
    text = fleet_text(ASKED, existing(), (an_interface(),))
    with pytest.raises(intent.IntentError, match="overlaps the adopted subnet-"):
        loaded(tmp_path, text.replace("vpc_cidr: 10.0.64.0/18", "vpc_cidr: 10.0.0.0/18"))


def test_guardrails_do_not_judge_what_is_adopted_and_still_judge_the_rest() -> None:
    wanted = intent.load(ROOT, "dev")
    bounds = Bounds(stack="dev", limits=wanted.limits, catalog=wanted.catalog)
    kind = "aws:ec2/subnet:Subnet"
    urns = [
        f"urn:pulumi:dev::endpoint-chain-manager::{parent}${kind}::s"
        for parent in ("ecm:aws:Adopted", "ecm:aws:Network")
    ]
    judged = [list(RULES[0].judge(Resource(type=kind, name="s", urn=urn, props={}), bounds)) for urn in urns]
    assert judged[0] == []
    assert judged[1]


def test_clients_keep_their_keys_and_addresses_and_sites_are_none() -> None:
    text = "[Interface]\n" + "".join(
        f"[Peer]\nPublicKey = {key}\nAllowedIPs = {allowed}\n"
        for key, allowed in zip(KEYS, ("10.8.0.2/32", "10.8.0.3, 192.168.0.0/16"), strict=True)
    )
    [table] = peer_tables((parse("wg0", text.encode()), parse("wg1", b"[Interface]\n")))
    assert table.vpn == "wg0"
    assert [(p.id, p.public_key, str(p.address)) for p in table.peers] == [("c-10-8-0-2", KEYS[0], "10.8.0.2")]
    with pytest.raises(AdoptError, match="two peers may use"):
        peer_tables((parse("wg0", text.replace("10.8.0.3, 192.168.0.0/16", "10.8.0.2").encode()),))


def test_the_store_takes_the_clients(tmp_path: Path) -> None:
    store = open_store("store", stack="byhand", root=tmp_path)
    [table] = peer_tables((an_interface(),))
    store.put_clients(table, "adopted")
    store.put_clients(table, "adopted")
    vpn = loaded(tmp_path, fleet_text(ASKED, existing(), (an_interface(),))).vpns[0]
    assert store.clients(vpn) == table
