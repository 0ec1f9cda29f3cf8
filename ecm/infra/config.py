"""The configuration bucket and its objects, the nodes' log group, and the shells of the secrets that nodes share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
from pulumi_aws import cloudwatch, s3, secretsmanager

from ecm.infra.naming import Labels
from ecm.model.contract import MANIFEST_KEY, edge_secret, pair_secret
from ecm.model.rendered import ConfigObject

LOG_RETENTION_DAYS = 30
SECRET_RECOVERY_DAYS = 0
"""A secret goes at once with its tier, whose addresses go with it: a name that waits for deletion cannot be used again,
and the same stack could not be made anew for a week."""


@dataclass(frozen=True)
class Signed:
    """What makes nodes take the objects: the signed list of all of them, and whose signature they accept."""

    manifest: str
    signers: tuple[str, ...]


@dataclass(frozen=True)
class ConfigSpec:
    """What the nodes read."""

    labels: Labels
    objects: tuple[ConfigObject, ...]
    signed: Signed
    edge_tiers: tuple[str, ...]
    """Ingress tiers: each has one key that all its nodes share."""
    pairs: tuple[tuple[str, str], ...]
    """Upstream and downstream tiers whose tunnels have a pre-shared key."""


class Config(pulumi.ComponentResource):
    """`ecm:aws:Config`: what the nodes read, and where they log.

    Secrets are declared without a value: the key job writes it, so no key is in the program, a preview or the state.
    """

    def __init__(self, name: str, spec: ConfigSpec, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("ecm:aws:Config", name, None, opts)
        self._spec = spec
        self._opts = pulumi.ResourceOptions(parent=self)
        # Agents publish their public keys and reports here; those objects are not Pulumi's, and go with the bucket.
        self.bucket = s3.Bucket(
            f"ecm-{spec.labels.stack}-config", force_destroy=True, tags=self._tags("config"), opts=self._opts
        )
        closed = self._bucket_settings()
        after = pulumi.ResourceOptions(parent=self, depends_on=closed)
        self.objects = {o.key: self._object(o, after) for o in spec.objects}
        # Last, so that a node that reads it finds every object that it names.
        last = pulumi.ResourceOptions(parent=self, depends_on=[*closed, *self.objects.values()])
        self._object(ConfigObject(key=MANIFEST_KEY, text=spec.signed.manifest), last)
        self.signers = " ".join(spec.signed.signers)
        self.log_group = cloudwatch.LogGroup(
            "nodes",
            name=f"/ecm/{spec.labels.stack}/nodes",
            retention_in_days=LOG_RETENTION_DAYS,
            tags=self._tags("nodes"),
            opts=self._opts,
        )
        self._edge = {tier: self._edge_secret(tier) for tier in spec.edge_tiers}
        self._pairs = {pair: self._pair_secret(*pair) for pair in spec.pairs}
        self.register_outputs({"bucket": self.bucket.bucket})

    def secrets_of(self, tier: str) -> tuple[pulumi.Output[str], ...]:
        """Return the ARNs of the secrets that nodes of `tier` may read."""
        own = [self._edge[tier].arn] if tier in self._edge else []
        return (*own, *(secret.arn for pair, secret in sorted(self._pairs.items()) if tier in pair))

    def _tags(self, name: str) -> dict[str, str]:
        return self._spec.labels.tags("config", name)

    def _bucket_settings(self) -> Sequence[pulumi.Resource]:
        """Versioned, encrypted and closed before the first object is written."""
        versioning = s3.BucketVersioning(
            "config",
            bucket=self.bucket.bucket,
            versioning_configuration=s3.BucketVersioningVersioningConfigurationArgs(status="Enabled"),
            opts=self._opts,
        )
        by_default = s3.BucketServerSideEncryptionConfigurationRuleApplyServerSideEncryptionByDefaultArgs(
            sse_algorithm="AES256"
        )
        encryption = s3.BucketServerSideEncryptionConfiguration(
            "config",
            bucket=self.bucket.bucket,
            rules=[
                s3.BucketServerSideEncryptionConfigurationRuleArgs(apply_server_side_encryption_by_default=by_default)
            ],
            opts=self._opts,
        )
        closed = s3.BucketPublicAccessBlock(
            "config",
            bucket=self.bucket.bucket,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=self._opts,
        )
        return versioning, encryption, closed

    def _object(self, config: ConfigObject, opts: pulumi.ResourceOptions) -> s3.BucketObjectv2:
        return s3.BucketObjectv2(
            config.key,
            bucket=self.bucket.bucket,
            key=config.key,
            content=config.text,
            content_type="application/json",
            tags=self._tags(config.key),
            opts=opts,
        )

    def _edge_secret(self, tier: str) -> secretsmanager.Secret:
        return secretsmanager.Secret(
            f"edge/{tier}",
            name=edge_secret(self._spec.labels.stack, tier),
            description=f"WireGuard private key that the nodes of {tier} share",
            recovery_window_in_days=SECRET_RECOVERY_DAYS,
            tags=self._tags(f"edge/{tier}"),
            opts=self._opts,
        )

    def _pair_secret(self, upstream: str, downstream: str) -> secretsmanager.Secret:
        return secretsmanager.Secret(
            f"pair/{upstream}/{downstream}",
            name=pair_secret(self._spec.labels.stack, upstream, downstream),
            description=f"WireGuard pre-shared key between {upstream} and {downstream}",
            recovery_window_in_days=SECRET_RECOVERY_DAYS,
            tags=self._tags(f"pair/{upstream}/{downstream}"),
            opts=self._opts,
        )
