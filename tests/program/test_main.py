"""`__main__.py` as Pulumi runs it: from the stack's configuration and a store on disk to resources."""

from __future__ import annotations

import ast
import json
import runpy
from pathlib import Path

import pulumi
import pytest

from ecm import infra, intent, render, signing
from ecm.infra.gate import READ_OUTPUTS
from ecm.model.plan import ConfigDigest, Decision, Plan, Verdict
from ecm.model.rendered import Peer, PeerTable
from ecm.store import Signed, open_store
from tests.builders import REGION, SIGNER, a_desired, a_digest, a_plan, a_signature, a_vpn, an_inputs
from tests.program.recording import Recording, record

ROOT = Path(__file__).resolve().parents[2]
MAIN = ROOT / "__main__.py"
PEERS = PeerTable(
    vpn="corp",
    peers=(Peer(id="anna", public_key="xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=", address="10.200.0.2"),),
)


def kept(folder: Path, **changes) -> Plan:
    """A plan in the store under `folder`, with the digests of what the templates render for it."""
    store = open_store(str(folder), stack="dev", root=ROOT)
    desired = a_desired(vpns=(a_vpn(peers=store.put_peers(PEERS)),))
    rendered = render.configs(desired, (PEERS,), templates=ROOT / "templates")
    digests = tuple(ConfigDigest(key=o.key, digest=o.digest) for o in rendered.objects)
    judged = an_inputs(**intent.content(ROOT, "dev").model_dump())
    plan = a_plan(desired, rendered, **({"configs": digests, "inputs": judged} | changes))
    store.put_plan(plan)
    store.set_manifest(Signed(plan=plan.digest, serial=1), a_signature(plan)[0])
    return plan


def run_main(
    folder: Path,
    approved: str,
    applied: str | None = None,
    signers: str = SIGNER.public,
    *,
    reviewed: str = "",
    preview: bool = False,
) -> Recording:
    pulumi.runtime.set_all_config(
        {
            "aws:region": REGION,
            "endpoint-chain-manager:approvedPlan": approved,
            "endpoint-chain-manager:store": str(folder),
            "endpoint-chain-manager:signers": signers,
        }
        | ({"endpoint-chain-manager:reviewedPlan": reviewed} if reviewed else {})
    )
    outputs = {} if applied is None else {"planDigest": applied}
    answer = {"name": "dev", "outputs": outputs, "secretOutputNames": []}
    return record(lambda: runpy.run_path(str(MAIN)) and None, invokes={READ_OUTPUTS: answer}, preview=preview)


def test_the_program_declares_the_approved_plan_with_what_is_rendered_for_it(tmp_path):
    plan = kept(tmp_path)
    recording = run_main(tmp_path, plan.digest)
    assert recording.outputs["planDigest"] == plan.digest
    assert {i.name for i in recording.of("Instance")} == {
        f"{tier}-us-east-1{zone}-0-g1" for tier in ("edge", "out") for zone in "ab"
    }
    stored = recording.one("BucketObjectv2", "vpns/corp/peers.json").inputs["content"]
    assert "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=" in stored
    assert recording.of("Instance")[0].inputs["userData"].startswith("#cloud-config")


def test_nodes_get_the_signed_list_of_their_configuration_and_whose_signature_to_accept(tmp_path):
    plan = kept(tmp_path)
    recording = run_main(tmp_path, plan.digest)
    signed = recording.one("BucketObjectv2", "manifest.json")
    manifest = signing.open_envelope(signed.inputs["content"].encode(), [SIGNER.public])
    assert {o.key: o.digest for o in manifest.objects} == {c.key: c.digest for c in plan.configs}
    assert {i.inputs["tags"]["ecm:signers"] for i in recording.of("Instance")} == {SIGNER.public}
    others = {f"aws:s3/bucketObjectv2:BucketObjectv2::{c.key}" for c in plan.configs}
    assert others <= {d.split("$")[-1] for d in signed.depends_on}


def test_a_plan_that_nobody_signed_or_a_stranger_is_refused(tmp_path):
    plan = kept(tmp_path)
    with pytest.raises(infra.GateRefused, match="no trusted key"):
        run_main(tmp_path, plan.digest, signers=signing.new_key().public)
    (tmp_path / "dev" / "manifests" / f"{plan.digest.removeprefix('sha256:')}.json").unlink()
    with pytest.raises(infra.GateRefused, match="approve it again"):
        run_main(tmp_path, plan.digest)


def test_a_signature_of_another_plan_is_refused(tmp_path):
    plan = kept(tmp_path)
    store = open_store(str(tmp_path), stack="dev", root=ROOT)
    store.set_manifest(Signed(plan=plan.digest, serial=2), a_signature(a_plan())[0])
    with pytest.raises(infra.GateRefused, match="another plan's"):
        run_main(tmp_path, plan.digest)


def test_a_refused_plan_declares_nothing(tmp_path):
    plan = kept(tmp_path)
    with pytest.raises(infra.GateRefused, match="would undo it"):
        run_main(tmp_path, plan.digest, applied=a_digest("a newer plan"))


def test_a_plan_edited_in_the_store_is_refused(tmp_path):
    plan = kept(tmp_path)
    path = tmp_path / "dev" / "plans" / f"{plan.digest.removeprefix('sha256:')}.json"
    edited = json.loads(path.read_bytes()) | {"serial": 9}
    path.write_text(json.dumps(edited, sort_keys=True, separators=(",", ":")))
    with pytest.raises(infra.GateRefused, match=r"edited by hand"):
        run_main(tmp_path, plan.digest)


def test_an_approved_plan_that_the_store_does_not_have_is_named(tmp_path):
    with pytest.raises(infra.GateRefused, match=r"not in the store"):
        run_main(tmp_path, a_digest("never made"))


def test_a_plan_reviewed_with_other_templates_is_refused(tmp_path):
    plan = kept(tmp_path, configs=(ConfigDigest(key="vpns/corp/peers.json", digest=a_digest("older")),))
    with pytest.raises(infra.GateRefused, match="is not what was reviewed"):
        run_main(tmp_path, plan.digest)


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("limits", a_digest("older limits"), "policies/limits.yaml: sha256:"),
        ("guardrails", None, "policies/guardrails: none then, sha256:"),
        ("ecm_version", "0.0.1", "the version of ECM: 0.0.1 then, "),
        ("libraries", "pulumi 1.0.0", "the versions of what declares resources: pulumi 1.0.0 then, pulumi "),
    ],
)
def test_a_plan_judged_by_something_else_is_refused_until_it_is_applied(tmp_path, name, value, shown):
    judged = intent.content(ROOT, "dev").model_dump() | {name: value}
    plan = kept(tmp_path, inputs=an_inputs(**judged))
    with pytest.raises(infra.GateRefused) as refused:
        run_main(tmp_path, plan.digest)
    assert "is stale" in str(refused.value)
    assert shown in str(refused.value)
    assert str(refused.value).count(" then, ") == 1
    assert run_main(tmp_path, plan.digest, applied=plan.digest).outputs["planDigest"] == plan.digest


def test_a_plan_under_review_is_declared_in_a_preview_and_never_in_an_up(tmp_path):
    plan = kept(tmp_path)
    recording = run_main(tmp_path, "", signers="", reviewed=plan.digest, preview=True)
    assert recording.outputs["planDigest"] == plan.digest
    with pytest.raises(infra.GateRefused, match="no plan is approved"):
        run_main(tmp_path, "", signers="", reviewed=plan.digest)


def test_a_review_is_held_to_everything_but_approval_and_signature(tmp_path):
    plan = kept(tmp_path, verdict=Verdict(decision=Decision.REFUSED))
    with pytest.raises(infra.GateRefused, match="guard did not pass"):
        run_main(tmp_path, "", reviewed=plan.digest, preview=True)
    other = kept(tmp_path, configs=(ConfigDigest(key="vpns/corp/peers.json", digest=a_digest("older")),))
    with pytest.raises(infra.GateRefused, match="is not what was reviewed"):
        run_main(tmp_path, "", reviewed=other.digest, preview=True)


def test_the_program_is_short_and_has_no_branch_of_its_own():
    source = MAIN.read_text()
    assert len(source.splitlines()) < 40
    branches = (ast.If, ast.For, ast.While, ast.Try, ast.Match, ast.IfExp)
    assert not [node for node in ast.walk(ast.parse(source)) if isinstance(node, branches)]
