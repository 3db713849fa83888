"""A tenant's files and tombstones, in the emulator's S3 and as files of the home."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from local.tombstones import FileTombstones
from tests.contract.emulator import Emulator
from traksense.aws.s3 import Bucket, S3Away, S3TenantObjects, S3Tombstones
from traksense.contracts.buckets import EXPORTS
from traksense.services.erasure import Tombstone, TombstoneLedger

ACME, GLOBEX = uuid.uuid4(), uuid.uuid4()
NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    running = Emulator.start(tmp_path_factory.mktemp("home"))
    yield running
    running.stop()


@pytest.fixture
def bucket(emulator: Emulator) -> Bucket:
    return Bucket(EXPORTS.name, "us-east-1", lambda _region: emulator.client("s3"))


def keys(emulator: Emulator) -> list[str]:
    found = emulator.client("s3").list_object_versions(Bucket=EXPORTS.name)
    return [each["Key"] for each in found.get("Versions", []) + found.get("DeleteMarkers", [])]


def test_every_version_of_a_tenants_files_goes_and_no_other_file(
    emulator: Emulator, bucket: Bucket
) -> None:
    s3 = emulator.client("s3")
    s3.put_bucket_versioning(Bucket=EXPORTS.name, VersioningConfiguration={"Status": "Enabled"})
    for tenant in (ACME, GLOBEX):
        for n in range(3):
            for version in (b"first", b"second"):
                s3.put_object(Bucket=EXPORTS.name, Key=f"{tenant}/{n}.csv", Body=version)
    s3.delete_object(Bucket=EXPORTS.name, Key=f"{ACME}/0.csv")
    s3.create_multipart_upload(Bucket=EXPORTS.name, Key=f"{ACME}/unfinished.csv")
    objects = S3TenantObjects(bucket)
    gone = 0
    while removed := objects.remove(ACME, 4):
        assert removed <= 5
        gone += removed
    assert gone == 3 * 2 + 1 + 1
    assert {key.partition("/")[0] for key in keys(emulator)} == {str(GLOBEX)}
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=EXPORTS.name)
    objects.remove(GLOBEX, 1000)


@pytest.fixture(params=["s3", "files"])
def ledger(request: pytest.FixtureRequest, bucket: Bucket, tmp_path: Path) -> TombstoneLedger:
    return S3Tombstones(bucket) if request.param == "s3" else FileTombstones(tmp_path / "graves")


def test_a_tombstone_is_read_as_it_was_kept_and_kept_once_a_tenant(
    ledger: TombstoneLedger,
) -> None:
    ledger.bury(Tombstone(ACME, "acme", NOW))
    ledger.bury(Tombstone(GLOBEX, "globex", NOW))
    proof = Tombstone(ACME, "acme", NOW, NOW, {"readings": 12, "configuration.devices": 3})
    ledger.bury(proof)
    found = {each.tenant_id: each for each in ledger.buried()}
    assert found == {ACME: proof, GLOBEX: Tombstone(GLOBEX, "globex", NOW)}


def test_a_ledger_that_holds_nothing_is_empty(tmp_path: Path) -> None:
    assert list(FileTombstones(tmp_path / "nothing").buried()) == []


def test_a_bucket_that_is_not_there_is_away_and_not_empty(emulator: Emulator) -> None:
    nowhere = Bucket("nobodys-bucket", "us-east-1", lambda _region: emulator.client("s3"))
    with pytest.raises(S3Away):
        S3TenantObjects(nowhere).remove(ACME, 10)
    with pytest.raises(S3Away):
        list(S3Tombstones(nowhere).buried())
