"""Checks between files that each are sound on their own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from ecm.intent.problems import Problem, show
from ecm.model.catalog import Catalog
from ecm.model.fleet import Fleet, Tenancy, Tier
from ecm.model.policy import Fact, Limits, Qos, Security


@dataclass(frozen=True)
class Files:
    """Everything that is checked against each other, and the names of the files for the messages."""

    fleet: Fleet
    qos: Qos
    security: Security
    limits: Limits
    catalog: Catalog
    fleet_file: str
    qos_file: str
    security_file: str
    limits_file: str
    catalog_file: str


def cross_problems(files: Files) -> tuple[Problem, ...]:
    """Return every contradiction between the fleet file and the policies."""
    checks: tuple[Callable[[Files], Iterator[Problem]], ...] = (
        _profiles,
        _quantiles,
        _hosts,
        _events,
        _region,
        _images_and_shapes,
        _levels,
        _prices,
    )
    return tuple(problem for check in checks for problem in check(files))


def _names(values: Iterable[object]) -> str:
    return ", ".join(sorted(str(v) for v in values)) or "none"


def _profiles(files: Files) -> Iterator[Problem]:
    known = {p.id for p in files.qos.profiles}
    for a in files.fleet.applications:
        if a.profile not in known:
            yield Problem(
                files.fleet_file,
                f"applications.{a.id}.profile",
                show(a.profile),
                f"no such profile in {files.qos_file}",
                f"use one of: {_names(known)}; or add the profile there",
            )


def _quantiles(files: Files) -> Iterator[Problem]:
    low, high = files.limits.quantile_min_permille, files.limits.quantile_max_permille
    for profile in files.qos.profiles:
        chosen = profile.planning_quantile_permille
        if chosen is not None and not low <= chosen <= high:
            yield Problem(
                files.qos_file,
                f"profiles.{profile.id}.planning_quantile_permille",
                show(chosen),
                f"{files.limits_file} allows {low} to {high}",
                "choose one of these, or move quantile_min_permille or quantile_max_permille there",
            )


def _hosts(files: Files) -> Iterator[Problem]:
    zone = files.fleet.dns_zone
    for vpn in files.fleet.vpns:
        if vpn.host is None or (zone is not None and vpn.host.endswith("." + zone)):
            continue
        remedy = f"use a name that ends in .{zone}" if zone else "add dns_zone to the fleet, or remove host"
        yield Problem(
            files.fleet_file, f"vpns.{vpn.id}.host", show(vpn.host), f"is not in dns_zone {show(zone)}", remedy
        )


def _events(files: Files) -> Iterator[Problem]:
    vpn_of = {a.id: a.vpn for a in files.fleet.applications}
    for event in files.fleet.events:
        if event.application is None or event.vpn is None or vpn_of[event.application] == event.vpn:
            continue
        owner = vpn_of[event.application]
        yield Problem(
            files.fleet_file,
            f"events.{event.id}.vpn",
            show(event.vpn),
            f"application {event.application!r} belongs to VPN {owner!r}",
            f"write vpn: {owner}, or leave vpn out",
        )


def _region(files: Files) -> Iterator[Problem]:
    region = files.fleet.region
    if files.catalog.region != region:
        yield Problem(
            files.catalog_file,
            "region",
            show(files.catalog.region),
            f"the fleet's region is {region!r}: prices of another region do not hold",
            f"give the stack a catalog of {region}, or move the fleet to {files.catalog.region}",
        )
    asked = any(Fact.ALLOWED_JURISDICTION in level.requires for level in files.security.levels)
    if asked and region not in {j.region for j in files.security.jurisdictions}:
        yield Problem(
            files.security_file,
            "jurisdictions",
            "",
            f"no country is given for the fleet's region {region!r}",
            f"add an entry: region: {region}, country: <two letters>",
        )


def _images_and_shapes(files: Files) -> Iterator[Problem]:
    images = {i.name: i for i in files.catalog.images}
    shapes = {s.name: s for s in files.catalog.shapes}
    for tier in files.fleet.tiers:
        yield from _unknown_shapes(files, tier)
        image = images.get(tier.image)
        if image is None:
            yield Problem(
                files.fleet_file,
                f"tiers.{tier.id}.image",
                show(tier.image),
                f"no such image in {files.catalog_file}",
                f"use one of: {_names(images)}",
            )
            continue
        named = [shapes[name] for name in tier.shapes if name in shapes]
        for shape in named:
            if shape.architecture is not image.architecture:
                yield Problem(
                    files.fleet_file,
                    f"tiers.{tier.id}.shapes",
                    show(shape.name),
                    f"is {shape.architecture}, but image {image.name!r} is {image.architecture}",
                    f"use shapes of {image.architecture}, or an image of {shape.architecture}",
                )
        fitting = [s for s in named or shapes.values() if s.architecture is image.architecture]
        if not named and not fitting:
            yield Problem(
                files.fleet_file,
                f"tiers.{tier.id}.image",
                show(tier.image),
                f"the catalog has no shape of {image.architecture}",
                f"add one to {files.catalog_file}, or use another image",
            )
        if tier.tenancy is Tenancy.DEDICATED and fitting and all(s.dedicated_usd_per_hour is None for s in fitting):
            yield Problem(
                files.fleet_file,
                f"tiers.{tier.id}.tenancy",
                show(str(tier.tenancy)),
                f"no shape that this tier may use has a dedicated_usd_per_hour in {files.catalog_file}",
                f"add dedicated_usd_per_hour to one of: {_names(s.name for s in fitting)}",
            )


def _unknown_shapes(files: Files, tier: Tier) -> Iterator[Problem]:
    known = {s.name for s in files.catalog.shapes}
    for name in tier.shapes:
        if name not in known:
            yield Problem(
                files.fleet_file,
                f"tiers.{tier.id}.shapes",
                show(name),
                f"no such shape in {files.catalog_file}",
                f"use some of: {_names(known)}; or add the shape there with its capacity and price",
            )


def _levels(files: Files) -> Iterator[Problem]:
    top = len(files.security.levels)
    for profile in files.qos.profiles:
        if profile.security_level > top:
            yield Problem(
                files.qos_file,
                f"profiles.{profile.id}.security_level",
                str(profile.security_level),
                f"{files.security_file} defines levels up to {top}",
                f"use a level from 0 to {top}, or define level {profile.security_level} there",
            )


def _prices(files: Files) -> Iterator[Problem]:
    for shape in files.catalog.shapes:
        for field in ("usd_per_hour", "dedicated_usd_per_hour"):
            if getattr(shape, field) == 0:
                yield Problem(
                    files.catalog_file,
                    f"shapes.{shape.name}.{field}",
                    "0",
                    "a shape without a price cannot be compared with others",
                    "write the on-demand price in USD per hour",
                )
