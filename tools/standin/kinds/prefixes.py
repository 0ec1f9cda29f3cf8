"""Managed prefix lists.

Test double, not the AWS provider.
"""

from __future__ import annotations

from typing import Any

from tools.standin.kind import (
    Autoname,
    Aws,
    Change,
    Kind,
    Made,
    Observed,
    absent,
    found,
    given,
    retag_ec2,
    tag_map,
    tag_spec,
)
from tools.standin.schema import CIDR4, Inputs, blocks, text, whole


def _entries(inputs: Inputs) -> list[dict[str, str]]:
    return [{"Cidr": e["cidr"], "Description": e.get("description", "")} for e in inputs.get("entries") or []]


def _list_seen(found_list: dict[str, Any]) -> Observed:
    return {
        "arn": found_list["PrefixListArn"],
        "name": found_list["PrefixListName"],
        "addressFamily": found_list["AddressFamily"],
        "maxEntries": found_list["MaxEntries"],
        "ownerId": found_list["OwnerId"],
        "version": found_list["Version"],
        "tags": tag_map(found_list.get("Tags")),
    }


def _list_create(aws: Aws, inputs: Inputs) -> Made:
    made = aws.ec2.create_managed_prefix_list(
        PrefixListName=inputs["name"],
        AddressFamily=inputs["addressFamily"],
        MaxEntries=inputs["maxEntries"],
        Entries=_entries(inputs),
        **tag_spec("prefix-list", inputs),
    )["PrefixList"]
    return Made(made["PrefixListId"], {**_list_seen(made), "entries": inputs.get("entries") or []})


def _list_read(aws: Aws, id_: str, _state: Observed) -> Observed | None:
    answer = found(lambda: aws.ec2.describe_managed_prefix_lists(PrefixListIds=[id_]), "InvalidPrefixListID.NotFound")
    lists = [item for item in answer["PrefixLists"] if item["State"] != "delete-complete"] if answer else []
    if not lists:
        return None
    entries = aws.ec2.get_managed_prefix_list_entries(PrefixListId=id_)["Entries"]
    seen = [{"cidr": e["Cidr"], **given(e, description="Description")} for e in entries]
    return {**_list_seen(lists[0]), "entries": seen}


def _list_update(aws: Aws, id_: str, change: Change) -> None:
    current = aws.ec2.describe_managed_prefix_lists(PrefixListIds=[id_])["PrefixLists"][0]
    before, after = _entries({"entries": change.was("entries")}), _entries(change.new)
    dropped = [{"Cidr": e["Cidr"]} for e in before if e not in after]
    parameters = given(change.new, PrefixListName="name", MaxEntries="maxEntries")
    aws.ec2.modify_managed_prefix_list(
        PrefixListId=id_,
        CurrentVersion=current["Version"],
        AddEntries=[e for e in after if e not in before],
        RemoveEntries=dropped,
        **parameters,
    )


def _list_delete(aws: Aws, id_: str, _state: Observed) -> None:
    with absent("InvalidPrefixListID.NotFound"):
        aws.ec2.delete_managed_prefix_list(PrefixListId=id_)


def _within_maximum(inputs: Inputs) -> str | None:
    entries, most = inputs.get("entries"), inputs.get("maxEntries")
    if isinstance(entries, list) and isinstance(most, int) and len(entries) > most:
        return f"entries: {len(entries)} are more than maxEntries {most}"
    return None


PREFIX_LIST = Kind(
    type_name="aws:ec2/managedPrefixList:ManagedPrefixList",
    inputs={
        "addressFamily": text("IPv4", "IPv6").need().fixed(),
        "maxEntries": whole(1, 1000).need(),
        "entries": blocks(unordered=True, cidr=text(pattern=CIDR4).need(), description=text()),
        "name": text(),
    },
    computed=("arn", "ownerId", "version"),
    create=_list_create,
    read=_list_read,
    update=_list_update,
    delete=_list_delete,
    retag=retag_ec2,
    autoname=Autoname(),
    rules=(_within_maximum,),
    unknown_on_change={"version": ("entries", "name", "maxEntries")},
)


KINDS = (PREFIX_LIST,)
