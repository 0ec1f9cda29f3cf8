"""AWS's Price List: on-demand prices of shapes, and of what else a stack pays for."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any, Final

from botocore.client import BaseClient

from ecm.aws.session import AwsError, translated
from ecm.model.base import MICRO
from ecm.model.prices import PriceList, ShapePrice

PRICE_LIST_REGION: Final = "us-east-1"
"""One of the few regions where the Price List answers; it knows the prices of all of them."""
_LINUX: Final = {"operatingSystem": "Linux", "preInstalledSw": "NA", "capacitystatus": "Used"}
_PAGE: Final = 100


@dataclass(frozen=True)
class _Item:
    """How the list names one of the catalog's prices of bandwidth."""

    name: str
    service: str
    filters: Mapping[str, str]
    usage: str
    """Usage type without the region's prefix."""
    times: int = 1


_BANDWIDTH: Final = (
    _Item(
        "cross_zone_usd_per_gb", "AWSDataTransfer", {"transferType": "IntraRegion"}, "DataTransfer-Regional-Bytes", 2
    ),
    _Item("internet_usd_per_gb", "AWSDataTransfer", {"transferType": "AWS Outbound"}, "DataTransfer-Out-Bytes"),
    _Item("nlb_usd_per_hour", "AWSELB", {"productFamily": "Load Balancer-Network"}, "LoadBalancerUsage"),
    _Item("nlcu_usd_per_hour", "AWSELB", {"productFamily": "Load Balancer-Network"}, "LCUUsage"),
    _Item("public_ipv4_usd_per_hour", "AmazonVPC", {"group": "VPCPublicIPv4Address"}, "PublicIPv4:InUseAddress"),
    _Item("interface_endpoint_usd_per_hour", "AmazonVPC", {"productFamily": "VpcEndpoint"}, "VpcEndpoint-Hours"),
)


def read_prices(client: BaseClient, shapes: Sequence[str], *, region: str, day: date) -> PriceList:
    """Return the list's prices in `region`; what it does not have, or has with several prices, is named as absent.

    `client` is boto3's `pricing`. AwsError when it cannot be asked, or answers in another form.
    """
    absent: list[str] = []
    listed = []
    for shape in shapes:
        filters = {**_LINUX, "regionCode": region, "instanceType": shape}
        products = tuple(_products(client, "AmazonEC2", filters))
        shared = _one(p for p in products if p.attributes.get("tenancy") == "Shared")
        if shared is None:
            absent.append(shape)
            continue
        dedicated = _one(p for p in products if p.attributes.get("tenancy") == "Dedicated")
        listed.append(ShapePrice(shape=shape, usd_micro_per_hour=shared, dedicated_usd_micro_per_hour=dedicated))
    bandwidth: dict[str, int] = {}
    for item in _BANDWIDTH:
        where = "fromRegionCode" if item.service == "AWSDataTransfer" else "regionCode"
        usage = re.compile(rf"([A-Z0-9]+-)?{re.escape(item.usage)}")
        products = tuple(_products(client, item.service, {where: region, **item.filters}))
        price = _one(p for p in products if usage.fullmatch(p.attributes.get("usagetype", "")))
        if price is None:
            absent.append(item.name)
        else:
            bandwidth[item.name] = price * item.times
    return PriceList(region=region, read=day, shapes=tuple(listed), bandwidth=bandwidth, absent=tuple(absent))


@dataclass(frozen=True)
class _Product:
    attributes: Mapping[str, str]
    prices: frozenset[int]
    """Micro-USD of one unit, on demand, of the first tier; free ones left out."""


def _one(products: Iterator[_Product]) -> int | None:
    """Return the only price of the products, or None."""
    prices = {price for product in products for price in product.prices}
    return prices.pop() if len(prices) == 1 else None


def _products(client: BaseClient, service: str, filters: Mapping[str, str]) -> Iterator[_Product]:
    pages = client.get_paginator("get_products").paginate(
        ServiceCode=service,
        Filters=[{"Type": "TERM_MATCH", "Field": name, "Value": value} for name, value in sorted(filters.items())],
        FormatVersion="aws_v1",
        MaxResults=_PAGE,
    )
    with translated("read the AWS price list"):
        for page in pages:
            for text in page["PriceList"]:
                yield _product(text, service)


def _product(text: str, service: str) -> _Product:
    try:
        data: dict[str, Any] = json.loads(text)
        attributes = data["product"]["attributes"]
        terms = data["terms"].get("OnDemand", {}).values()
        dimensions = [d for term in terms for d in term["priceDimensions"].values()]
        found = {_micro(d["pricePerUnit"]["USD"]) for d in dimensions if d.get("beginRange", "0") == "0"}
    except (ValueError, KeyError, TypeError, AttributeError, InvalidOperation) as error:
        raise AwsError(
            f"the AWS price list answers for {service} in a form that ECM does not know ({type(error).__name__}: "
            f"{error}); keep policies/catalog.yaml by hand, and report it"
        ) from error
    return _Product(attributes, frozenset(found - {0}))


def _micro(usd: str) -> int:
    return int((Decimal(usd) * MICRO).quantize(Decimal(1), rounding=ROUND_HALF_UP))
