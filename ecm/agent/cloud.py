"""The bucket and Secrets Manager as the agent's source and secrets; nothing of AWS is loaded where neither is used."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ecm.agent.identity import TAGS, Known, complete, lacks
from ecm.agent.keys import FolderSecrets, Secrets
from ecm.agent.settings import Settings, SettingsError
from ecm.agent.source import Fetched, FolderSource, Source, SourceError, Unchanged
from ecm.model.contract import METRIC_NAMESPACE

if TYPE_CHECKING:
    from ecm.aws import NodeBucket, NodeMetrics, NodeSecrets


@dataclass(frozen=True)
class BucketSource:
    """A bucket's objects."""

    bucket: NodeBucket

    def fetch(self, key: str, limit: int, known: str | None = None) -> Fetched | Unchanged | None:
        """Return an object unless its ETag is `known`."""
        from ecm.aws import AwsError  # noqa: PLC0415 - a node that reads a folder loads nothing of AWS

        try:
            found = self.bucket.read(key, limit, known)
        except AwsError as error:
            raise SourceError(str(error)) from None
        if found is None:
            return None
        return Unchanged() if found.data is None else Fetched(found.data, found.etag)

    def publish(self, key: str, data: bytes) -> None:
        """Write an object."""
        from ecm.aws import AwsError  # noqa: PLC0415 - see above

        try:
            self.bucket.write(key, data)
        except AwsError as error:
            raise SourceError(str(error)) from None


@dataclass(frozen=True)
class ManagedSecrets:
    """Secrets Manager's secrets."""

    secrets: NodeSecrets

    def read(self, name: str) -> str | None:
        """Return a secret's text."""
        from ecm.aws import AwsError  # noqa: PLC0415 - see above

        try:
            return self.secrets.read(name)
        except AwsError as error:
            raise SourceError(str(error)) from None


@dataclass(frozen=True)
class CloudMeter:
    """CloudWatch's metrics."""

    metrics: NodeMetrics

    def put(self, metric: str, values: Iterable[tuple[Mapping[str, str], float]]) -> None:
        """Write one value for each set of dimensions."""
        from ecm.aws import AwsError  # noqa: PLC0415 - see above

        try:
            self.metrics.put(METRIC_NAMESPACE, metric, values)
        except AwsError as error:
            raise SourceError(str(error)) from None


def meter(settings: Settings) -> CloudMeter | None:
    """Return where metrics go; None where configuration comes from a folder: then there is no CloudWatch."""
    if settings.source.folder is not None:
        return None
    from ecm.aws import node_metrics  # noqa: PLC0415 - see above

    return CloudMeter(node_metrics(settings.source.region))


def known(settings: Settings) -> Known:
    """Return everything that the agent has to be told; SettingsError where neither settings nor tags say it."""
    if not lacks(settings):
        return complete(settings, {})
    from ecm.aws import AwsError, instance_tags  # noqa: PLC0415 - see above

    try:
        return complete(settings, instance_tags(TAGS))
    except AwsError as error:
        raise SettingsError(f"the settings lack {', '.join(lacks(settings))}: {error}") from None


def connect(settings: Settings) -> tuple[Source, Secrets]:
    """Return where configuration and shared keys come from."""
    folder, secrets = settings.source.folder, settings.secrets
    if folder is not None and secrets is not None:
        return FolderSource(folder), FolderSecrets(secrets)
    from ecm.aws import node_clients  # noqa: PLC0415 - see above

    bucket, managed = node_clients(settings.source.bucket or "", settings.source.region)
    source: Source = FolderSource(folder) if folder is not None else BucketSource(bucket)
    return source, FolderSecrets(secrets) if secrets is not None else ManagedSecrets(managed)
