"""Route 53: deletes by set identifier, and names that exist already. Test double, not AWS."""

from __future__ import annotations

from typing import Any

from moto.route53.exceptions import Route53ClientError
from moto.route53.models import FakeZone, Route53Backend

from tools.standin.refusals.overlay import Moto, Overlays

OVERLAYS = Overlays()


def _key(record: dict[str, Any]) -> tuple[str, str, str | None]:
    return record["Name"].rstrip("."), record["Type"], record.get("SetIdentifier")


def _check(zone: Moto, change_list: list[dict[str, Any]]) -> None:
    there = {(r.name.rstrip("."), r.type, r.set_identifier) for r in zone.rrsets}
    for change in change_list:
        record, action = change["ResourceRecordSet"], change["Action"]
        key = _key(record)
        words = f"[name='{key[0]}', type='{key[1]}', set identifier='{key[2]}']"
        if action == "CREATE" and key in there:
            raise Route53ClientError(
                "InvalidChangeBatch", f"[Tried to create resource record set {words} but it already exists]"
            )
        if action == "DELETE" and key not in there:
            raise Route53ClientError(
                "InvalidChangeBatch", f"[Tried to delete resource record set {words} but it was not found]"
            )
        there = there - {key} if action == "DELETE" else there | {key}


@OVERLAYS.over(FakeZone, "delete_rrset_by_id")
def _delete_rrset_by_id(_original: Moto, self: Moto, set_identifier: str) -> None:
    """Moto deletes every record of the zone that has the identifier; the change names one of them."""
    doomed = self.doomed
    self.rrsets = [
        r
        for r in self.rrsets
        if (r.name.rstrip("."), r.type, r.set_identifier) != doomed.get(set_identifier, (None, None, None))
    ]


@OVERLAYS.over(Route53Backend, "change_resource_record_sets")
def _change_resource_record_sets(original: Moto, self: Moto, zoneid: str, change_list: list[dict[str, Any]]) -> Moto:
    zone = self.get_hosted_zone(zoneid)
    _check(zone, change_list)
    answer = None
    for change in change_list:
        record = change["ResourceRecordSet"]
        zone.doomed = {record.get("SetIdentifier"): _key(record)}
        answer = original(self, zoneid, [change])
    return answer
