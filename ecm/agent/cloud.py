"""The bucket and Secrets Manager as the agent's source and secrets; nothing of AWS is loaded where neither is used."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ecm.agent.identity import TAGS, Known, complete, lacks
from ecm.agent.keys import FolderSecrets, Secrets
from ecm.agent.settings import Settings, SettingsError
from ecm.agent.source import Fetched, FolderSource, Source, SourceError, Unchanged

if TYPE_CHECKING:
    from ecm.aws import NodeBucket, NodeSecrets


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
