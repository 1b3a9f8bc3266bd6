"""What an object store does wrong, told with its cause and the commands that help; nothing is dropped meanwhile."""

from __future__ import annotations

import json
from typing import Any

import pytest
from history import archive_all, bring_back, kept, populate, raw

from metering import fresh
from nself.app import App
from nself.bucket import errors
from nself.core.errors import BillingError
from nself.domains.archive.model import ArchiveDiffers
from nself.domains.archive.service import files
from object_store import Answer, Gate, Request, Store, moto
from serving import free_port

FULL = b"<Error><Code>XMinioStorageFull</Code><Message>Storage backend has reached its minimum free drive threshold.</Message></Error>"


def test_without_settings_it_says_which_to_set(open_app: Any) -> None:
    app = open_app(ARCHIVE_S3_BUCKET="")
    populate(app, months=(11,))
    with pytest.raises(errors.BucketNotSet) as caught:
        archive_all(app)
    assert caught.value.hint[0] == "nself env set ARCHIVE_S3_BUCKET=my-billing-archive"
    assert len(raw(app)) == 120 and kept(app) == []


def refused(app: App, error: type[BillingError], words: str) -> None:
    """Nothing was dropped, and the next run on a sound store does it."""
    populate(app, months=(11,))
    with pytest.raises(error, match=words):
        archive_all(app)
    assert len(raw(app)) == 120 and {one.state for one in kept(app)} <= {"writing"}


def test_a_bucket_that_is_not_there(open_app: Any) -> None:
    refused(open_app(ARCHIVE_S3_BUCKET="no-such-bucket"), errors.NoSuchBucket, "no-such-bucket does not exist at http")


def test_a_store_that_does_not_answer(open_app: Any) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    refused(open_app(ARCHIVE_S3_ENDPOINT=url, ARCHIVE_S3_TIMEOUT="2s"), errors.BucketAway, f"{url} does not answer")


@pytest.fixture(scope="module")
def strict() -> Any:
    """A server that checks signatures, with the one user that it knows."""
    with moto(INITIAL_NO_AUTH_ACTION_COUNT="4") as store:
        iam, bucket = store.client("iam"), fresh("strict")
        store.client().create_bucket(Bucket=bucket)
        iam.create_user(UserName="nself")
        key = iam.create_access_key(UserName="nself")["AccessKey"]
        policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
        iam.put_user_policy(UserName="nself", PolicyName="all", PolicyDocument=json.dumps(policy))
        yield {
            "ARCHIVE_S3_BUCKET": bucket,
            "ARCHIVE_S3_ENDPOINT": store.url,
            "ARCHIVE_S3_ACCESS_KEY_ID": key["AccessKeyId"],
            "ARCHIVE_S3_SECRET_ACCESS_KEY": key["SecretAccessKey"],
        }


@pytest.mark.parametrize("name", ["ARCHIVE_S3_ACCESS_KEY_ID", "ARCHIVE_S3_SECRET_ACCESS_KEY"])
def test_wrong_credentials(open_app: Any, strict: dict[str, str], name: str) -> None:
    wrong = open_app(**{**strict, name: "another"})
    refused(
        wrong,
        errors.BucketRefused,
        "refuses access to the archive's bucket strict.*: (InvalidAccessKeyId|SignatureDoesNotMatch)",
    )
    right = open_app(**strict)
    assert [row.action for row in archive_all(right)] == ["archived"]
    assert bring_back(right, month="2025-11").put_back == 120


@pytest.mark.parametrize("method", ["PUT", "GET"])
@pytest.mark.parametrize("status", [500, 503])
def test_a_store_that_fails_once_is_asked_again(app: App, gate: Gate, method: str, status: int) -> None:
    failed: list[Request] = []

    def fail(request: Request) -> Answer | None:
        if request.method == method and not failed:
            failed.append(request)
            return status, b"<Error><Code>SlowDown</Code></Error>"
        return None

    gate.before = fail
    populate(app, months=(11,))
    assert [row.action for row in archive_all(app)] == ["archived"] and failed


@pytest.mark.parametrize("number", [1, 2, 4, 6, 7])
def test_a_store_without_room(app: App, gate: Gate, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """For an object, while PostgreSQL still sends the next ones, and for the manifest."""
    monkeypatch.setattr(files, "PIECE_ROWS", 20)
    monkeypatch.setattr(files, "CHUNK_ROWS", 7)
    puts: list[Request] = []

    def full(request: Request) -> Answer | None:
        puts.extend([request] if request.method == "PUT" else [])
        return (507, FULL) if request.method == "PUT" and len(puts) >= number else None

    gate.before = full
    refused(app, errors.BucketFull, "has no room left.*XMinioStorageFull: Storage backend")
    gate.forget()
    assert [row.action for row in archive_all(app)] == ["archived"]


@pytest.mark.parametrize("end", [".parquet", "manifest.json"])
def test_what_is_read_back_must_be_what_was_written(
    app: App, gate: Gate, objects: Store, bucket: str, end: str
) -> None:
    """A store that loses a bit on its way to the disk."""

    def lie(request: Request, answer: Answer) -> Answer:
        status, data = answer
        if request.method == "GET" and request.path.endswith(end):
            data = data[:40] + bytes([data[40] ^ 4]) + data[41:]
        return status, data

    gate.after = lie
    refused(app, ArchiveDiffers, "What was read back of s3://.* nothing was dropped")
    gate.forget()
    assert [row.action for row in archive_all(app)] == ["archived"]
    assert len(objects.objects(bucket)) == 2, "what was begun first is gone"


def test_an_object_that_changed_after_it_was_verified_is_written_anew(
    app: App, gate: Gate, objects: Store, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An earlier run verified the month and did not come to drop it."""
    from nself.domains.archive.service import archive

    populate(app, months=(11,))
    with monkeypatch.context() as patch:
        patch.setattr(archive, "_drop", lambda *_: "stopped here")
        archive_all(app)
    assert [one.state for one in kept(app)] == ["verified"]
    (place,) = [name for name in objects.objects(bucket) if name.endswith(".parquet")]
    objects.client().put_object(Bucket=bucket, Key=place, Body=b"x")
    assert [row.action for row in archive_all(app)] == ["archived"]
    assert place not in objects.objects(bucket)
    assert bring_back(app, month="2025-11").put_back == 120


def test_the_extra_is_named_where_it_is_not_installed(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "obstore.store", None)
    with pytest.raises(errors.ExtraMissing, match=r"obstore is not installed.*nself-billing\[archive\]"):
        archive_all(app)


def test_encryption_is_asked_for(open_app: Any, objects: Store, bucket: str) -> None:
    app = open_app(ARCHIVE_S3_ENCRYPTION="AES256", ARCHIVE_S3_PREFIX="")
    populate(app, months=(11,))
    archive_all(app)
    client, places = objects.client(), list(objects.objects(bucket))
    assert len(places) == 2 and all(place.startswith("usage/") for place in places)
    assert {client.head_object(Bucket=bucket, Key=place)["ServerSideEncryption"] for place in places} == {"AES256"}
    assert bring_back(app, month="2025-11").put_back == 120


@pytest.mark.parametrize("region", ["us-east-1", "eu-central-1"])
def test_requests_are_signed_for_the_region(open_app: Any, gate: Gate, region: str) -> None:
    app = open_app(ARCHIVE_S3_REGION=region)
    populate(app, months=(11,))
    archive_all(app)
    assert gate.requests
    assert all(f"/{region}/s3/aws4_request" in one.signature for one in gate.requests)
