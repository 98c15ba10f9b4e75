"""What S3 and its client fail with, in the port's words: which of it an operator can mend, and how."""

from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError

from domain.ports.blobs import BlobMissingError, BlobsUnavailableError

MISSING = frozenset({"404", "NoSuchKey", "NotFound"})
# What an operator can mend.
REFUSALS = {
    "403": "this key may not (403)",
    "AccessDenied": "this key may not (AccessDenied)",
    "InvalidAccessKeyId": "it does not know AWS_ACCESS_KEY_ID (InvalidAccessKeyId)",
    "SignatureDoesNotMatch": "AWS_SECRET_ACCESS_KEY is another (SignatureDoesNotMatch)",
    "NoSuchBucket": "there is no such bucket (NoSuchBucket)",
}


class BeyondTheEndError(Exception):
    """The range asked for begins after the last byte."""


class translated:
    """Raise errors of the store as errors of the port."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        match error:
            case ClientError():
                code = str(error.response.get("Error", {}).get("Code", ""))
                if code in MISSING:
                    raise BlobMissingError(code) from error
                if code in ("InvalidRange", "416"):
                    raise BeyondTheEndError from error
                raise BlobsUnavailableError(
                    f"The blob store refuses: {REFUSALS.get(code, code) or 'no reason given'}"
                ) from error
            case NoCredentialsError() | PartialCredentialsError():
                raise BlobsUnavailableError(
                    "Nothing says as whom to ask the blob store: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
                ) from error
            case BotoCoreError() | OSError() | TimeoutError():
                raise BlobsUnavailableError(f"The blob store does not answer: {type(error).__name__}") from error
            case _ if error is not None and type(error).__module__.startswith("aiohttp"):
                raise BlobsUnavailableError(f"The blob store broke off: {type(error).__name__}") from error
