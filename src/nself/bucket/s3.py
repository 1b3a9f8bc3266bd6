"""One bucket of an S3-compatible store. obstore speaks to it and is imported on first use (docs/decisions/0015)."""

from __future__ import annotations

import re
from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta
from importlib import import_module
from typing import Any

from nself.bucket.errors import (
    BucketAway,
    BucketFull,
    BucketNotSet,
    BucketRefused,
    ExtraMissing,
    NoSuchBucket,
    ObjectMissing,
)
from nself.core.errors import BillingError
from nself.core.settings import Settings

RETRIES = 3
RETRY_FOR = timedelta(seconds=30)
CONNECT_FOR = timedelta(seconds=5)
REFUSED = ("401 ", "403 ", "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch")
FULL = ("507 ", "StorageFull", "QuotaExceeded")


class Bucket:
    """Names are keys without the bucket's prefix. Raises the errors of `nself.bucket.errors`."""

    def __init__(self, store: Any, bucket: str, prefix: str, endpoint: str) -> None:
        self._store, self.bucket, self.prefix, self.endpoint = store, bucket, prefix, endpoint

    def put(self, name: str, data: bytes) -> None:
        """Whole or not at all: S3 shows an object when all of it was received."""
        with self._told(name):
            self._store.put(self._key(name), data, use_multipart=False)

    def get(self, name: str) -> bytes:
        with self._told(name):
            return bytes(self._store.get(self._key(name)).bytes())

    def names(self, prefix: str) -> list[str]:
        """All names below `prefix`, sorted."""
        with self._told(prefix):
            found = [one["path"] for chunk in self._store.list(self._key(prefix)) for one in chunk]
        return sorted(self._name(path) for path in found)

    def folders(self, prefix: str) -> list[str]:
        """Names of the folders directly below `prefix`, sorted."""
        with self._told(prefix):
            found = self._store.list_with_delimiter(self._key(prefix))["common_prefixes"]
        return sorted(self._name(path) for path in found)

    def delete(self, name: str) -> None:
        """Nothing happens where it is gone already."""
        with self._told(name):
            self._store.delete(self._key(name))

    def location(self, name: str) -> str:
        return f"s3://{self.bucket}/{self._key(name)}"

    def _key(self, name: str) -> str:
        return f"{self.prefix}/{name}" if self.prefix else name

    def _name(self, path: str) -> str:
        return path.removeprefix(f"{self.prefix}/") if self.prefix else path

    @contextmanager
    def _told(self, name: str) -> Generator[None]:
        """obstore's exceptions, most of which are of one class, as what they mean."""
        try:
            yield
        except (_obstore("exceptions").BaseError, OSError) as error:
            raise self._meaning(name, error) from error

    def _meaning(self, name: str, error: Exception) -> BillingError:
        text = str(error).partition("\nDebug source")[0]
        where = {"bucket": self.bucket, "endpoint": self.endpoint, "detail": _detail(text)}
        if "NoSuchBucket" in text:
            return NoSuchBucket(**where)
        if isinstance(error, FileNotFoundError):
            return ObjectMissing(location=self.location(name))
        if isinstance(error, PermissionError) or any(sign in text for sign in REFUSED):
            return BucketRefused(**where)
        if any(sign in text for sign in FULL):
            return BucketFull(**where)
        return BucketAway(**where)


def _detail(text: str) -> str:
    """S3's own code and message, else the last thing that went wrong."""
    found = re.search(r"<Code>([^<]*)</Code>\s*(?:<Message>([^<]*)</Message>)?", text)
    if found:
        return ": ".join(part for part in found.groups() if part)
    return " ".join(text.split())[-200:]


def _obstore(name: str) -> Any:
    try:
        return import_module(f"obstore.{name}")
    except ImportError as error:
        raise ExtraMissing(module="obstore") from error


def connect(settings: Settings) -> Bucket:
    """The bucket that the settings name; nothing is asked of it yet. Raises BucketNotSet, ExtraMissing."""
    bucket = settings.text("ARCHIVE_S3_BUCKET")
    if not bucket:
        raise BucketNotSet
    region, endpoint = settings.text("ARCHIVE_S3_REGION"), settings.text("ARCHIVE_S3_ENDPOINT").rstrip("/")
    config: dict[str, Any] = {"region": region, "virtual_hosted_style_request": not endpoint}
    if endpoint:
        config["endpoint"] = endpoint
    for option, name in (
        ("access_key_id", "ARCHIVE_S3_ACCESS_KEY_ID"),
        ("secret_access_key", "ARCHIVE_S3_SECRET_ACCESS_KEY"),
        ("server_side_encryption", "ARCHIVE_S3_ENCRYPTION"),
    ):
        if settings.text(name) not in ("", "none"):
            config[option] = settings.text(name)
    timeout = timedelta(seconds=settings.seconds("ARCHIVE_S3_TIMEOUT"))
    store = _obstore("store").S3Store(
        bucket,
        config=config,
        client_options={
            "timeout": timeout,
            "connect_timeout": min(CONNECT_FOR, timeout),
            "allow_http": endpoint.startswith("http://"),
        },
        retry_config={"max_retries": RETRIES, "retry_timeout": min(RETRY_FOR, timeout)},
    )
    prefix = settings.text("ARCHIVE_S3_PREFIX").strip("/")
    return Bucket(store, bucket, prefix, endpoint or f"S3 in {region}")
