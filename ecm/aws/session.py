"""One boto3 session per run, and AWS's errors in a sentence each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    EndpointConnectionError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
)

_CREDENTIALS: Final = (
    "no AWS credentials: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run on a role; "
    "check with: aws sts get-caller-identity"
)
_EXPIRED: Final = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired"})
_REFUSED: Final = frozenset(
    {
        "AuthFailure",
        "InvalidClientTokenId",
        "UnrecognizedClientException",
        "SignatureDoesNotMatch",
        "InvalidAccessKeyId",
    }
)
_DENIED: Final = frozenset({"AccessDenied", "UnauthorizedOperation", "AccessDeniedException"})


class AwsError(Exception):
    """AWS could not be asked, or did not answer as expected."""


def open_session(region: str) -> boto3.Session:
    """Return a session in `region` with the standard credential chain; AwsError when it finds no credentials.

    Endpoints come from the standard AWS_ENDPOINT_URL; nothing here knows of a particular server.
    """
    with translated("find AWS credentials"):
        session = boto3.Session(region_name=region)
        if session.get_credentials() is None:
            raise AwsError(_CREDENTIALS)
        return session


def client_config() -> Config:
    """Return the settings of every client: few retries and short waits, so that a broken network shows in seconds."""
    return Config(
        connect_timeout=5,
        read_timeout=30,
        retries={"mode": "standard", "total_max_attempts": 4},
        s3={"addressing_style": "path"},
    )


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Turn boto3's errors in the block into AwsError that says what was tried and how to mend it."""
    try:
        yield
    except ClientError as error:
        raise AwsError(_client_message(error, doing)) from error
    except (NoCredentialsError, PartialCredentialsError) as error:
        raise AwsError(_CREDENTIALS) from error
    except ProfileNotFound as error:
        raise AwsError(f"cannot {doing}: {error}; correct AWS_PROFILE") from error
    except NoRegionError as error:
        raise AwsError(f"cannot {doing}: no region; the fleet file names one") from error
    except EndpointConnectionError as error:
        raise AwsError(f"cannot {doing}: {error}; check the network and AWS_ENDPOINT_URL") from error
    except BotoCoreError as error:
        raise AwsError(f"cannot {doing}: {error}") from error


def _client_message(error: ClientError, doing: str) -> str:
    detail = error.response.get("Error", {})
    code, message = str(detail.get("Code", "")), str(detail.get("Message", ""))
    if code in _EXPIRED:
        return f"cannot {doing}: the AWS credentials have expired; sign in again"
    if code in _REFUSED:
        return f"cannot {doing}: AWS does not accept these credentials ({code}); check the account and the keys"
    if code in _DENIED:
        return f"cannot {doing}: not allowed ({code}): {message}; give this role the action that the message names"
    return f"cannot {doing}: {code}: {message}"
