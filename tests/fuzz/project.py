"""A small project in files, every optional field filled in, and the way from its files to rendered files."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import yaml

from ecm import intent
from ecm.intent import Intent, IntentError
from ecm.pipeline import World, decide_from
from ecm.render import configs
from ecm.store.clients import merge_shards
from tests.forecasts import AS_OF, a_forecast, a_history
from tests.golden.stacks import ROOT

FLEET = "stacks/fuzz.fleet.yaml"
POLICIES = tuple(f"policies/{name}.yaml" for name in ("qos", "security", "limits", "catalog"))
KEY = "A" * 42 + "A="

_FLEET = {
    "stack": "fuzz",
    "region": "us-east-1",
    "zones": ["us-east-1a", "us-east-1b"],
    "dns_zone": "vpn.example.com",
    "network": {
        "vpc_cidr": "10.64.0.0/16",
        "overlay_cidr": "100.96.0.0/11",
        "vpc_id": "vpc-0123456789abcdef0",
        "internet_gateway_id": "igw-0123456789abcdef0",
        "workload_route_tables": ["rtb-0123456789abcdef0"],
        "adopted": {
            "vpc": {"cidr": "10.65.0.0/16", "dns_support": True, "dns_hostnames": True, "tenancy": "default"},
            "subnets": [{"id": "subnet-0123456789abcdef0", "zone": "us-east-1a", "cidr": "10.65.0.0/24",
                         "public_ip_on_launch": False}],
            "route_tables": ["rtb-0123456789abcdef1"],
            "security_groups": [{"id": "sg-0123456789abcdef0", "name": "office", "description": "from before"}],
        },
    },
    "vpns": [
        {"id": "lab", "client_cidr": "100.64.0.0/20", "time_zone": "America/New_York", "holidays": "US",
         "host": "lab.vpn.example.com"},
    ],
    "applications": [
        {"id": "web", "vpn": "lab", "profile": "bulk", "destinations": ["0.0.0.0/0"], "ports": ["tcp/443"],
         "largest_flow_mbps": 20, "chains": ["main"], "way_in": "client"},
        {"id": "feed", "vpn": "lab", "profile": "bulk", "destinations": ["203.0.113.0/24"], "ports": ["udp/3478-3481"],
         "way_in": "client"},
    ],
    "tiers": [
        {"id": "door", "role": "ingress", "image": "vpne", "zones": ["us-east-1a", "us-east-1b"],
         "shapes": ["c6gn.medium"], "node_failures": 0, "survive_zone_loss": False, "pre_shared_key": True,
         "inspection": True, "tenancy": "default"},
        {"id": "gate", "role": "egress", "image": "vpne", "shapes": ["c6gn.medium"], "pre_shared_key": True,
         "node_failures": 0, "survive_zone_loss": False},
    ],
    "chains": [{"id": "main", "vpn": "lab", "tiers": ["door", "gate"]}],
    "events": [
        {"id": "sale", "kind": "campaign", "start": "2026-12-01T00:00:00Z", "end": "2026-12-02T00:00:00Z",
         "region": "us-east-1", "vpn": "lab", "application": "web", "expected_factor": 1.5, "note": "spring"},
    ],
}  # fmt: skip
SHARD = {"peers": [{"id": "laptop", "public_key": KEY, "address": "100.64.0.7"}]}


def documents() -> dict[str, Any]:
    """Fleet and policies by file: the project's own policies, with a catalog that holds one shape and one image."""
    found = {name: yaml.safe_load((ROOT / name).read_text()) for name in POLICIES}
    catalog = found["policies/catalog.yaml"]
    shape = next(s for s in catalog["shapes"] if s["name"] == "c6gn.medium")
    catalog["shapes"] = [shape | {"dedicated_usd_per_hour": 0.05}]
    catalog["images"] = [catalog["images"][0] | {"name": "vpne", "built": "2026-07-15"}]
    catalog["as_of"] = "2026-07-20"
    limits = found["policies/limits.yaml"]
    limits["stacks"] = {"fuzz": {"budget_usd_per_hour": 40}}
    limits["freeze"] = [{"start": "2027-01-01T00:00:00Z", "end": "2027-01-02T00:00:00Z", "reason": "closed"}]
    found["policies/qos.yaml"]["profiles"][-1]["planning_quantile_permille"] = 950
    return {FLEET: copy.deepcopy(_FLEET)} | found


def write(folder: Path, files: dict[str, Any]) -> None:
    """Write documents as files; JSON is YAML, and its escapes carry every character."""
    for name, document in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(document, indent=1), encoding="utf-8")


def rendered(folder: Path, shard: bytes = json.dumps(SHARD).encode()) -> dict[str, str]:
    """Every rendered file of the project in `folder`, by object and path: files, policies and clients in, text out."""
    return rendered_from(intent.load(folder, "fuzz"), shard)


def rendered_from(wanted: Intent, shard: bytes) -> dict[str, str]:
    """Every rendered file of an intent with one shard of clients; IntentError where nothing is feasible."""
    table = merge_shards(wanted.fleet.vpns[0], [("clients/lab/a.json", shard)])
    assert table is not None
    loads = {a.id: 100 for a in wanted.fleet.applications}
    world = World(as_of=AS_OF, peers=(table,), templates=ROOT / "templates")
    outcome = decide_from(wanted, a_history(wanted.fleet, loads), a_forecast(wanted.fleet, loads), world)
    if outcome.plan is None:
        raise IntentError(())
    return texts(configs(outcome.plan.desired, (table,), templates=ROOT / "templates"))


def texts(made: Any) -> dict[str, str]:
    """Every file of a rendering by object and path, each object's own keys, and the user data."""
    found = {o.key: o.text for o in made.shared}
    for node in made.nodes:
        document = json.loads(node.base.text)
        found |= {f"{node.base.key}:{path}": text for path, text in document.pop("files").items()}
        found[f"{node.base.key}:"] = json.dumps(document, sort_keys=True)
        found[f"{node.base.key}:user-data"] = node.user_data
    return found
