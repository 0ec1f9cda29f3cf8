"""What a node's agent needs of AWS: its bucket, the keys that its tier shares, and the instance metadata service."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from typing import TYPE_CHECKING, Final

import boto3
from botocore.exceptions import ClientError

from ecm.aws.session import AwsError, client_config, translated

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client
    from mypy_boto3_secretsmanager.client import SecretsManagerClient

METADATA: Final = "169.254.169.254"
_METADATA_TIMEOUT_S: Final = 3
_ABSENT: Final = frozenset({"NoSuchKey", "AccessDenied", "404", "403"})
"""S3 denies a read of what is not there to a role that may not list the bucket."""


@dataclass(frozen=True)
class Read:
    """An object as it was read; `data` is None where it still has the ETag that was named."""

    data: bytes | None
    etag: str


class NodeBucket:
    """The configuration bucket, as a node may use it."""

    def __init__(self, client: S3Client, bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def read(self, key: str, limit: int, known: str | None) -> Read | None:
        """Return an object unless it still has the ETag `known`; None where there is none that the node may read.

        AwsError when S3 does not answer, or the object has more than `limit` bytes.
        """
        condition = {"IfNoneMatch": known} if known else {}
        with translated(f"read s3://{self._bucket}/{key}"):
            try:
                answer = self._client.get_object(Bucket=self._bucket, Key=key, **condition)  # type: ignore[arg-type]
            except ClientError as error:
                code = str(error.response.get("Error", {}).get("Code", ""))
                if code in ("304", "NotModified"):
                    return Read(None, known or "")
                if code in _ABSENT:
                    return None
                raise
            if answer["ContentLength"] > limit:
                raise AwsError(f"s3://{self._bucket}/{key} has more than {limit} bytes")
            return Read(answer["Body"].read(limit + 1), answer["ETag"])

    def write(self, key: str, data: bytes) -> None:
        """Write an object."""
        with translated(f"write s3://{self._bucket}/{key}"):
            self._client.put_object(Bucket=self._bucket, Key=key, Body=data, ContentType="text/plain")


class NodeSecrets:
    """Secrets Manager, as a node may use it."""

    def __init__(self, client: SecretsManagerClient) -> None:
        self._client = client

    def read(self, name: str) -> str | None:
        """Return a secret's current text; None while it has no value."""
        with translated(f"read the secret {name}"):
            try:
                return self._client.get_secret_value(SecretId=name)["SecretString"].strip()
            except ClientError as error:
                if error.response.get("Error", {}).get("Code") == "ResourceNotFoundException":
                    return None
                raise


def node_clients(bucket: str, region: str | None) -> tuple[NodeBucket, NodeSecrets]:
    """Return the bucket and the secrets with the instance's own role."""
    session = boto3.Session(region_name=region)
    s3 = session.client("s3", config=client_config())
    return NodeBucket(s3, bucket), NodeSecrets(session.client("secretsmanager", config=client_config()))


def instance_tags(names: Iterable[str], address: str = METADATA, port: int = 80) -> dict[str, str]:
    """Return the instance's tags of those names and `region`, from the metadata service (IMDSv2).

    AwsError where the service does not answer; a tag that the instance does not have is left out.
    """
    try:
        token = _ask(address, port, ("PUT", "/latest/api/token", {"X-aws-ec2-metadata-token-ttl-seconds": "300"}))
        headers = {"X-aws-ec2-metadata-token": token or ""}
        paths = {name: f"/latest/meta-data/tags/instance/{name}" for name in names}
        paths["region"] = "/latest/meta-data/placement/region"
        found = {name: _ask(address, port, ("GET", path, headers)) for name, path in paths.items()}
    except (OSError, HTTPException) as error:
        raise AwsError(
            f"the instance metadata service does not answer ({error}): elsewhere than on EC2 give --settings FILE"
        ) from None
    return {name: text for name, text in found.items() if text}


def _ask(address: str, port: int, request: tuple[str, str, dict[str, str]]) -> str | None:
    method, path, headers = request
    connection = HTTPConnection(address, port, timeout=_METADATA_TIMEOUT_S)
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        text = answer.read(4096).decode("utf-8", "replace").strip()
        return text if answer.status == 200 else None
    finally:
        connection.close()
