"""botocore's errors: which are transient and retried, and what to do about the others."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from kubevoice.errors import InputError, StorageError

__all__ = ["NOT_S3_ADVICE", "ObjectNotFoundError", "explain_s3", "retry_transient"]

logger = logging.getLogger(__name__)

T = TypeVar("T")

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.5, 10.0
NOT_S3 = "500"
"""What botocore makes of an answer that is not S3's XML, whatever its status was. S3's own code is InternalError."""
NOT_S3_ADVICE = "does not answer as an S3 server does; check spec.storage.endpoint"
TRANSIENT_CODES = {"SlowDown", "RequestTimeout", "Throttling", "ThrottlingException", "TooManyRequests"}


class ObjectNotFoundError(InputError):
    """There is no object of that key."""


def _is_transient(error: Exception) -> bool:
    """Return whether the same call may succeed later."""
    from botocore import exceptions as boto

    if isinstance(error, boto.ClientError):
        answer = error.response
        status = int(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        if answer.get("Error", {}).get("Code") == NOT_S3:
            return False
        return status >= 500 or status == 429 or answer.get("Error", {}).get("Code") in TRANSIENT_CODES
    connection_lost = isinstance(error, boto.ConnectionError | boto.HTTPClientError | boto.IncompleteReadError)
    return connection_lost and not isinstance(error, boto.SSLError)


def retry_transient(call: Callable[[], T], patience_seconds: float, failure: str) -> T:
    """Call a function until it raises no transient error, with growing pauses.

    Parameters
    ----------
    call
        The function.
    patience_seconds
        Time since the first error after which the last one is raised.
    failure
        Beginning of the log message, such as "cannot read s3://bucket/key".

    Returns
    -------
    T
        What `call` returns.
    """
    deadline, pause = None, FIRST_PAUSE_SECONDS
    while True:
        try:
            return call()
        except Exception as error:
            now = time.monotonic()
            deadline = now + patience_seconds if deadline is None else deadline
            remaining = deadline - now
            if remaining <= 0 or not _is_transient(error):
                raise
            logger.warning("%s: %s; trying again for %.0f s", failure, error, remaining)
            time.sleep(min(pause, remaining))
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)


@contextmanager
def explain_s3(failure: str, bucket: str, endpoint: str) -> Iterator[None]:
    """Turn errors of botocore into errors that say what to do.

    Parameters
    ----------
    failure
        Beginning of the message, such as "cannot read s3://bucket/key".
    bucket
        The bucket.
    endpoint
        The server, for the message.

    Raises
    ------
    ObjectNotFoundError
        If there is no such object.
    StorageError
        For any other error.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        if code in ("NoSuchKey", "404"):
            raise ObjectNotFoundError(f"{failure}: there is no such object") from None
        advice = {
            "NoSuchBucket": f"bucket {bucket} does not exist on {endpoint}; create it or correct the URI",
            "AccessDenied": "access is denied; check spec.storage.secretRef and the bucket's policy",
            "403": "access is denied; check spec.storage.secretRef and the bucket's policy",
            "InvalidAccessKeyId": "the access key is unknown to the server; check spec.storage.secretRef",
            "SignatureDoesNotMatch": "the secret key is wrong; check spec.storage.secretRef",
            NOT_S3: f"{endpoint} {NOT_S3_ADVICE}",
        }.get(code, f"{endpoint} answered {code or error}")
        raise StorageError(f"{failure}: {advice}") from error
    except BotoCoreError as error:
        advice = {
            "NoCredentialsError": "there are no S3 credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
            "EndpointConnectionError": f"{endpoint} cannot be reached; check spec.storage.endpoint",
            "ConnectTimeoutError": f"{endpoint} does not answer; check spec.storage.endpoint",
            "SSLError": f"the certificate of {endpoint} is not trusted; set spec.storage.caBundleRef",
        }.get(type(error).__name__, str(error))
        raise StorageError(f"{failure}: {advice}") from error
