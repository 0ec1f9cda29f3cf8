"""The part of an existing VPC that ECM may carve its subnets from."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network
from typing import Final

_PREFIXES: Final = (18, 19, 20)
"""Roomy first; /20 is the smallest that `network.vpc_cidr` takes, and more than a /18 of somebody's VPC is greedy."""


class AdoptError(Exception):
    """An existing network that cannot be adopted: what, where, how to mend it."""


def free_part(vpc: str, ranges: Iterable[IPv4Network], taken: Iterable[IPv4Network]) -> IPv4Network:
    """Return the lowest largest part of the VPC's `ranges` that overlaps nothing `taken`; AdoptError where none is."""
    whole, used = sorted(ranges), tuple(taken)
    for prefix in _PREFIXES:
        for block in whole:
            if block.prefixlen > prefix:
                continue
            for part in block.subnets(new_prefix=prefix):
                if not any(part.overlaps(other) for other in used):
                    return part
    raise AdoptError(
        f"{vpc}: no /{_PREFIXES[-1]} is free for ECM's own subnets in {', '.join(map(str, whole))}\n"
        f"    Add a range: aws ec2 associate-vpc-cidr-block --vpc-id {vpc} --cidr-block RANGE"
    )
