"""The Pulumi program: load the approved plan, check it, render it, declare it; no decision, no clock."""

from pathlib import Path

from ecm import infra, intent, render, signing, store

ROOT = Path(__file__).resolve().parent

settings = infra.settings()


def s3_objects(bucket: str, prefix: str) -> store.Objects:
    """Return a store's objects in S3; boto3 is loaded only where the store is there."""
    from ecm.aws import S3Objects, session  # noqa: PLC0415

    client = session.open_session(settings.region).client("s3", config=session.client_config())
    return S3Objects(client, bucket, prefix)


with infra.refusing(store.StoreError, intent.IntentError, render.RenderError, signing.SignatureError):
    kept = store.open_store(settings.store, stack=settings.stack, root=ROOT, s3=s3_objects)
    plan = kept.plan(settings.approved)
    applied = infra.applied_digest(settings)
    infra.check_gate(plan, settings, applied)
    infra.check_content(plan, lambda: intent.content(ROOT, settings.stack), applied)
    peers = tuple(kept.peers(vpn.peers) for vpn in plan.desired.vpns if vpn.peers is not None)
    signed, manifest = infra.signature(settings, lambda: kept.manifest(plan.digest), signing.open_envelope)
    rendered = render.configs(plan.desired, peers, templates=ROOT / "templates")
infra.check_rendered(plan, rendered, manifest)
infra.declare(plan, rendered, infra.Signed(signed.decode(), settings.signers))
