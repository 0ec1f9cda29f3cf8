"""`ecm catalog prices`: AWS's price list, as it answers, beside the catalog and into it."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest
import yaml
from botocore.stub import Stubber

from ecm import intent
from ecm.aws import client_config
from tests.cli import ROOT

REGION = "us-east-1"
SHAPES = [shape.name for shape in intent.load_policies(ROOT)[1].shapes]
BANDWIDTH = (
    ("AWSDataTransfer", "fromRegionCode", ("transferType", "IntraRegion"), "DataTransfer-Regional-Bytes", "0.01"),
    ("AWSDataTransfer", "fromRegionCode", ("transferType", "AWS Outbound"), "DataTransfer-Out-Bytes", "0.09"),
    ("AWSELB", "regionCode", ("productFamily", "Load Balancer-Network"), "LoadBalancerUsage", "0.0225"),
    ("AWSELB", "regionCode", ("productFamily", "Load Balancer-Network"), "LCUUsage", "0.006"),
    ("AmazonVPC", "regionCode", ("group", "VPCPublicIPv4Address"), "USE1-PublicIPv4:InUseAddress", "0.005"),
    ("AmazonVPC", "regionCode", ("productFamily", "VpcEndpoint"), "VpcEndpoint-Hours", "0.01"),
)


def product(usd: str, *more: tuple[str, str], **attributes: str) -> str:
    """One entry of a PriceList as AWS gives it: JSON in a string; `more` are (beginRange, USD) of later tiers."""
    dimensions = {
        f"SKU.JRTCKXETXF.{i}": {"unit": "Hrs", "beginRange": begin, "endRange": "Inf", "pricePerUnit": {"USD": price}}
        for i, (begin, price) in enumerate((("0", usd), *more))
    }
    terms = {"OnDemand": {"SKU.JRTCKXETXF": {"priceDimensions": dimensions, "effectiveDate": "2026-11-01T00:00:00Z"}}}
    return json.dumps({"product": {"attributes": attributes, "sku": "SKU"}, "serviceCode": "AmazonEC2", "terms": terms})


def asked(service: str, **filters: str) -> dict[str, Any]:
    matches = [{"Type": "TERM_MATCH", "Field": name, "Value": filters[name]} for name in sorted(filters)]
    return {"ServiceCode": service, "Filters": matches, "FormatVersion": "aws_v1", "MaxResults": 100}


def of_shape(shape: str) -> dict[str, Any]:
    linux = {"operatingSystem": "Linux", "preInstalledSw": "NA", "capacitystatus": "Used"}
    return asked("AmazonEC2", regionCode=REGION, instanceType=shape, **linux)


@pytest.fixture
def stubbed(project, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    client = boto3.client("pricing", region_name=REGION, config=client_config())

    monkeypatch.setattr("boto3.Session.client", lambda *_, **__: client)
    with Stubber(client) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


def answers(stubber: Stubber, changed: dict[str, str], absent: tuple[str, ...] = ()) -> None:
    """The list with today's prices but for those `changed`; on dedicated tenancy 10 % more."""
    for shape in SHAPES:
        shared = product(changed[shape], tenancy="Shared", usagetype=f"BoxUsage:{shape}") if shape in changed else None
        host = product("0.0000000000", tenancy="Host", usagetype=f"HostBoxUsage:{shape}")
        stubber.add_response("get_products", {"PriceList": [host], "NextToken": "more"}, of_shape(shape))
        page = [shared] if shared and shape not in absent else []
        stubber.add_response("get_products", {"PriceList": page}, {**of_shape(shape), "NextToken": "more"})
    for service, where, (field, value), usage, usd in BANDWIDTH:
        other = product("77.0", usagetype="USE1-TS-" + usage)
        tiers = (("10240", "0.085"), ("51200", "0.07")) if usage == "DataTransfer-Out-Bytes" else ()
        mine = product(changed.get(usage, usd), *tiers, usagetype=usage)
        page = [other, mine] if usage not in absent else [other]
        stubber.add_response("get_products", {"PriceList": page}, asked(service, **{where: REGION, field: value}))


def today(project) -> dict[str, str]:
    catalog = yaml.safe_load((project.root / "policies" / "catalog.yaml").read_text())
    return {shape["name"]: f"{shape['usd_per_hour']:.10f}" for shape in catalog["shapes"]}


def test_what_differs_is_shown_and_nothing_is_written(project, stubbed):
    answers(stubbed, {**today(project), "c7gn.large": "0.1300000000"})
    code, out, err = project.run("catalog", "prices")
    assert (code, err) == (10, "")
    lines = {line.split()[0]: line for line in out.splitlines() if line.strip()}
    assert "+4.2%" in lines["c7gn.large"]
    assert "%" not in lines["c7gn.xlarge"]
    assert "%" not in lines["internet_usd_per_gb"], "the first tier is the price"
    assert "%" not in lines["cross_zone_usd_per_gb"], "both directions are paid"
    assert project.wrote_nothing()


def test_the_written_catalog_has_the_prices_and_everything_else_as_it_was(project, stubbed):
    path = project.root / "policies" / "catalog.yaml"
    before = path.read_text()
    answers(stubbed, {**today(project), "c7gn.large": "0.1300000000", "LCUUsage": "0.007"})
    assert project.run("catalog", "prices", "--write", str(path))[0] == 0
    _, catalog = intent.load_policies(project.root)
    assert catalog.shape("c7gn.large").usd_per_hour == 130_000
    assert catalog.shape("c7gn.xlarge").usd_per_hour == 249_600
    assert catalog.bandwidth.nlcu_usd_per_hour == 7_000
    assert catalog.as_of.isoformat() == "2026-11-18"
    said = "AWS Price List, on demand, us-east-1, read on 2026-11-18"
    assert {shape.price_source for shape in catalog.shapes} == {said}
    assert [line for line in path.read_text().splitlines() if line.startswith("#")] == [
        line for line in before.splitlines() if line.startswith("#")
    ]
    assert {"images", "traffic", "latency", "failover"} <= {
        key for key, value in yaml.safe_load(before).items() if yaml.safe_load(path.read_text())[key] == value
    }


def test_a_price_that_the_list_does_not_have_stays_and_so_does_the_date(project, stubbed):
    path = project.root / "policies" / "catalog.yaml"
    answers(stubbed, {**today(project), "c7gn.large": "0.13"}, absent=("t4g.small", "LCUUsage"))
    made = project.json("catalog", "prices", "--write", str(path))
    assert made["absent"] == ["t4g.small", "nlcu_usd_per_hour"]
    _, catalog = intent.load_policies(project.root)
    assert catalog.as_of.isoformat() == "2026-07-20"
    assert catalog.shape("t4g.small").usd_per_hour == 16_800
    assert catalog.shape("c7gn.large").usd_per_hour == 130_000


def test_without_credentials_or_for_another_region_it_says_what_to_do(project):
    code, _, err = project.run("catalog", "prices")
    assert code == 1
    assert "no AWS credentials" in err
    target = str(project.root / "new.yaml")
    code, _, err = project.run("catalog", "prices", "--region", "eu-central-1", "--write", target)
    assert code == 64
    assert "the catalog is of us-east-1" in err
    assert project.wrote_nothing()


def test_refusals_and_unknown_forms_are_errors_and_nothing_is_written(project, stubbed):
    path = project.root / "policies" / "catalog.yaml"
    stubbed.add_client_error("get_products", "AccessDeniedException", "no pricing:GetProducts")
    code, _, err = project.run("catalog", "prices", "--write", str(path))
    assert code == 1
    assert "give this role the action" in err
    stubbed.add_response("get_products", {"PriceList": ['{"product": {}}']}, of_shape(SHAPES[0]))
    code, _, err = project.run("catalog", "prices", "--write", str(path))
    assert code == 1
    assert "in a form that ECM does not know" in err
    assert project.wrote_nothing()
