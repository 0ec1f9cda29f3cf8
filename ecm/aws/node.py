"""What a node's agent needs of AWS: its bucket, its tier's keys, metrics, and the instance metadata service.

Four requests, signed with botocore's own signer and credentials: boto3's clients load the models of all operations of
a service, which is as much memory as the rest of the agent's share of AWS together.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from typing import Any, Final, Protocol
from urllib.parse import urlencode

from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest, AWSResponse
from botocore.httpsession import URLLib3Session
from botocore.session import Session

from ecm.aws.session import AwsError, translated

METADATA: Final = "169.254.169.254"
_METADATA_TIMEOUT_S: Final = 3
_TIMEOUT_S: Final = 15
_CODE: Final = re.compile(rb"<Code>([A-Za-z0-9]{1,60})</Code>")


@dataclass(frozen=True)
class Read:
    """An object as it was read; `data` is None where it still has the ETag that was named."""

    data: bytes | None
    etag: str


class _Sender(Protocol):
    def send(self, request: AWSRequest) -> AWSResponse:
        """Sign and send a request."""
        ...


class Signed:
    """Requests to one service in one region with the standard credential chain."""

    def __init__(self, session: Session, service: str, region: str) -> None:
        self._session = session
        self._signer = S3SigV4Auth if service == "s3" else SigV4Auth
        self._service = service
        self._region = region
        self._http = URLLib3Session(timeout=_TIMEOUT_S, max_pool_connections=2)

    def send(self, request: AWSRequest) -> AWSResponse:
        """Sign and send a request; AwsError where there are no credentials or no answer."""
        with translated(f"{request.method} {request.url}"):
            credentials = self._session.get_credentials()
            if credentials is None:
                raise AwsError("no AWS credentials: the instance has no role")
            self._signer(credentials, self._service, self._region).add_auth(request)
            return self._http.send(request.prepare())


class NodeBucket:
    """The configuration bucket, as a node may use it."""

    def __init__(self, sender: _Sender, url: str) -> None:
        self._sender = sender
        self._url = url

    def read(self, key: str, limit: int, known: str | None) -> Read | None:
        """Return an object unless it still has the ETag `known`; None where there is none that the node may read.

        S3 denies a read of what is not there to a role that may not list the bucket, so a denial means the same.
        AwsError when S3 does not answer, or the object has more than `limit` bytes.
        """
        # One byte more than the limit at most is ever sent, however large the object is.
        headers = {"Range": f"bytes=0-{limit}", **({"If-None-Match": known} if known else {})}
        answer = self._sender.send(AWSRequest("GET", f"{self._url}/{key}", headers=headers))
        if answer.status_code == 304:
            return Read(None, known or "")
        if answer.status_code in (403, 404):
            return None
        if answer.status_code not in (200, 206):
            raise AwsError(f"cannot read {self._url}/{key}: {_why(answer)}")
        data: bytes = answer.content
        if len(data) > limit:
            raise AwsError(f"{self._url}/{key} has more than {limit} bytes")
        return Read(data, answer.headers.get("ETag", ""))

    def write(self, key: str, data: bytes) -> None:
        """Write an object."""
        headers = {"Content-Type": "text/plain"}
        answer = self._sender.send(AWSRequest("PUT", f"{self._url}/{key}", headers=headers, data=data))
        if answer.status_code != 200:
            raise AwsError(f"cannot write {self._url}/{key}: {_why(answer)}")


class NodeSecrets:
    """Secrets Manager, as a node may use it."""

    def __init__(self, sender: _Sender, url: str) -> None:
        self._sender = sender
        self._url = url

    def read(self, name: str) -> str | None:
        """Return a secret's current text; None while it has no value."""
        headers = {
            "Content-Type": "application/x-amz-json-1.1",
            "X-Amz-Target": "secretsmanager.GetSecretValue",
        }
        data = json.dumps({"SecretId": name}).encode()
        answer = self._sender.send(AWSRequest("POST", f"{self._url}/", headers=headers, data=data))
        try:
            said: Mapping[str, Any] = json.loads(answer.content or b"{}")
        except ValueError:
            said = {}
        if answer.status_code == 200 and isinstance(said.get("SecretString"), str):
            return str(said["SecretString"]).strip()
        if str(said.get("__type", "")).rpartition("#")[2] == "ResourceNotFoundException":
            return None
        raise AwsError(f"cannot read the secret {name}: {said.get('__type') or answer.status_code}")


class NodeMetrics:
    """CloudWatch, as a node may use it."""

    def __init__(self, sender: _Sender, url: str) -> None:
        self._sender = sender
        self._url = url

    def put(self, namespace: str, metric: str, values: Iterable[tuple[Mapping[str, str], float]]) -> None:
        """Write one value of a metric now, for each set of dimensions; AwsError where CloudWatch does not take it."""
        form = {"Action": "PutMetricData", "Version": "2010-08-01", "Namespace": namespace}
        for number, (dimensions, value) in enumerate(values, start=1):
            place = f"MetricData.member.{number}"
            form |= {f"{place}.MetricName": metric, f"{place}.Value": f"{value:g}"}
            for index, (name, text) in enumerate(sorted(dimensions.items()), start=1):
                form |= {f"{place}.Dimensions.member.{index}.{k}": v for k, v in (("Name", name), ("Value", text))}
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        data = urlencode(form).encode()
        answer = self._sender.send(AWSRequest("POST", f"{self._url}/", headers=headers, data=data))
        if answer.status_code != 200:
            raise AwsError(f"cannot write the metric {metric}: {_why(answer)}")


def _why(answer: AWSResponse) -> str:
    found = _CODE.search(answer.content or b"") if answer.status_code >= 400 else None
    return found[1].decode() if found else f"status {answer.status_code}"


def node_clients(bucket: str, region: str | None) -> tuple[NodeBucket, NodeSecrets]:
    """Return the bucket and the secrets with the instance's own role; AWS_ENDPOINT_URL stands for another server."""
    session = Session()
    place, other = _where(region)
    s3 = f"{other}/{bucket}" if other else f"https://{bucket}.s3.{place}.amazonaws.com"
    secrets = other or f"https://secretsmanager.{place}.amazonaws.com"
    return NodeBucket(Signed(session, "s3", place), s3), NodeSecrets(Signed(session, "secretsmanager", place), secrets)


def node_metrics(region: str | None) -> NodeMetrics:
    """Return CloudWatch with the instance's own role; AWS_ENDPOINT_URL stands for another server."""
    place, other = _where(region)
    return NodeMetrics(Signed(Session(), "monitoring", place), other or f"https://monitoring.{place}.amazonaws.com")


def _where(region: str | None) -> tuple[str, str]:
    """Return the region, and the server that stands for AWS's own where one is set."""
    place = region or os.environ.get("AWS_REGION") or "us-east-1"
    return place, os.environ.get("AWS_ENDPOINT_URL", "").rstrip("/")


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
