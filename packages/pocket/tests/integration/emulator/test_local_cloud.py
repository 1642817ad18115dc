"""The local AWS server as its clients meet it: stores that answer, tags that tell the truth."""

from __future__ import annotations

import io
import json
import os
import time
import urllib.request
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import psutil
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.fs
import pyarrow.parquet as pq
import pytest
import redis
import s3fs
from botocore.exceptions import ClientError
from redis.backoff import NoBackoff
from redis.retry import Retry

import pocket.emulator
from pocket.emulator import CloudEndpoints
from pocket.supervisor import Supervisor

Client = Callable[[str], Any]
_TOKEN = 'a"b\\c-sixteen-or-more'


@pytest.fixture
def bucket(client: Client) -> str:
    name = f"lake-{uuid.uuid4().hex[:8]}"
    client("s3").create_bucket(Bucket=name)
    return name


# -- starting -----------------------------------------------------------------------------------


def test_an_endpoint_of_the_user_is_respected_and_nothing_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://localstack.test:4566/")
    endpoints = pocket.emulator.start(tmp_path)
    assert (endpoints.endpoint_url, endpoints.managed) == ("http://localstack.test:4566", False)
    assert Supervisor(tmp_path).status() == []


def test_it_loads_an_environments_services_before_they_are_asked(cloud: CloudEndpoints) -> None:
    pocket.emulator.read_ahead(cloud)
    pocket.emulator.read_ahead(cloud)  # as often as one likes
    deadline = time.monotonic() + 120
    told: dict[str, Any] = {"all": False}
    while not told["all"] and time.monotonic() < deadline:
        with urllib.request.urlopen(f"{cloud.endpoint_url}/_pocket/ahead") as answer:
            told = json.load(answer)
        time.sleep(0.1)
    assert told["all"], told
    assert len(told["read"]) == len(set(told["read"])) > 20


def test_our_own_address_in_the_environment_is_not_the_users(
    cloud: CloudEndpoints, tmp_path: Path
) -> None:
    """`environment` is in this process's environment: another root still gets no foreign cloud."""
    assert os.environ["AWS_ENDPOINT_URL"] == cloud.endpoint_url
    assert pocket.emulator.find(tmp_path) is None


def test_a_killed_server_comes_back_with_its_resources_and_caches(tmp_path: Path) -> None:
    endpoints = pocket.emulator.start(tmp_path, region="us-east-1")
    assert pocket.emulator.find(tmp_path, region="us-east-1") == endpoints
    own = boto3.Session(
        region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test"
    )
    s3, cache, kms = (
        own.client(service, endpoint_url=endpoints.endpoint_url)
        for service in ("s3", "elasticache", "kms")
    )
    body = os.urandom(6 * 2**20)
    s3.create_bucket(Bucket="kept")
    s3.put_object(Bucket="kept", Key="model", Body=body)
    key = kms.create_key(Description="kept")["KeyMetadata"]["KeyId"]
    secret = kms.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
    cache.create_replication_group(ReplicationGroupId="kept", ReplicationGroupDescription="-")
    running = Supervisor(tmp_path).find("cloud")
    assert running
    (server,) = psutil.Process(running.pid).children()
    await_snapshot(tmp_path, b"replicationgroup:kept")
    # After a snapshot has put the bodies into files, moto still copies objects in memory.
    (version,) = s3.list_object_versions(Bucket="kept")["Versions"]
    assert version["Size"] == len(body)

    os.kill(running.pid, 9)  # not in order: the Redis must notice by itself
    server.wait(timeout=20)
    assert pocket.emulator.start(tmp_path, region="us-east-1") == endpoints
    assert s3.get_object(Bucket="kept", Key="model")["Body"].read() == body
    assert kms.decrypt(CiphertextBlob=secret)["Plaintext"] == b"x"
    (group,) = cache.describe_replication_groups(ReplicationGroupId="kept")["ReplicationGroups"]
    assert redis.Redis(port=group["NodeGroups"][0]["PrimaryEndpoint"]["Port"]).ping()
    s3.delete_object(Bucket="kept", Key="model")
    assert pocket.emulator.stop(tmp_path)
    assert list((tmp_path / "cloud" / "state" / "objects").iterdir()) == []


def await_snapshot(root: Path, text: bytes) -> None:
    """Wait until the server has written what it knows; a kill before that may lose it."""
    snapshot = root / "cloud" / "state" / "state.pickle"
    deadline = time.monotonic() + 60
    while not (snapshot.exists() and text in snapshot.read_bytes()):
        assert time.monotonic() < deadline, "no snapshot within a minute"
        time.sleep(0.1)


# -- caches -------------------------------------------------------------------------------------


def test_a_replication_group_is_a_redis_until_it_is_deleted(client: Client) -> None:
    cache = client("elasticache")
    created = cache.create_replication_group(
        ReplicationGroupId="online",
        ReplicationGroupDescription="features",
        NumCacheClusters=2,
        TransitEncryptionEnabled=True,
        AuthToken=_TOKEN,
    )["ReplicationGroup"]
    assert created["MemberClusters"] == ["online-001", "online-002"]
    (found,) = cache.describe_replication_groups(ReplicationGroupId="online")["ReplicationGroups"]
    endpoint = found["NodeGroups"][0]["PrimaryEndpoint"]
    once = Retry(NoBackoff(), 0)
    server = redis.Redis(endpoint["Address"], endpoint["Port"], password=_TOKEN, retry=once)
    server.set("wind", "12")
    assert server.get("wind") == b"12"
    with pytest.raises(redis.AuthenticationError):
        redis.Redis(endpoint["Address"], endpoint["Port"]).get("wind")

    cache.delete_replication_group(ReplicationGroupId="online")
    with pytest.raises(ClientError, match="ReplicationGroupNotFound"):
        cache.describe_replication_groups(ReplicationGroupId="online")
    with pytest.raises(redis.ConnectionError):
        server.get("wind")


def test_a_token_without_encryption_is_refused_as_on_aws(client: Client) -> None:
    with pytest.raises(ClientError, match="TransitEncryptionEnabled"):
        client("elasticache").create_replication_group(
            ReplicationGroupId="open", ReplicationGroupDescription="-", AuthToken=_TOKEN
        )


def test_a_cache_cluster_answers_too(client: Client) -> None:
    cache = client("elasticache")
    cache.create_cache_cluster(
        CacheClusterId="single", Engine="redis", CacheNodeType="cache.t4g.micro", NumCacheNodes=1
    )
    (found,) = cache.describe_cache_clusters(CacheClusterId="single", ShowCacheNodeInfo=True)[
        "CacheClusters"
    ]
    endpoint = found["CacheNodes"][0]["Endpoint"]
    assert redis.Redis(endpoint["Address"], endpoint["Port"]).ping()
    cache.delete_cache_cluster(CacheClusterId="single")
    assert cache.describe_cache_clusters()["CacheClusters"] == []


# -- object storage -----------------------------------------------------------------------------


def test_pyarrow_writes_and_reads_a_partitioned_dataset(bucket: str) -> None:
    table = pa.table({"month": [1, 1, 2], "delay": [3.0, 4.0, 5.0]})
    filesystem, root = pyarrow.fs.FileSystem.from_uri(f"s3://{bucket}/flights")
    ds.write_dataset(
        table,
        root,
        filesystem=filesystem,
        format="parquet",
        partitioning=["month"],
        partitioning_flavor="hive",
    )
    read = ds.dataset(root, filesystem=filesystem, partitioning="hive")
    assert read.to_table(filter=ds.field("month") == 2)["delay"].to_pylist() == [5.0]
    path = f"{bucket}/flights/month=1/part-0.parquet"
    assert path in s3fs.S3FileSystem().find(f"{bucket}/flights/month=1")


def test_large_objects_go_up_in_parts_and_come_down_in_ranges(client: Client, bucket: str) -> None:
    s3, body = client("s3"), os.urandom(20 * 2**20)
    s3.upload_fileobj(io.BytesIO(body), bucket, "big")
    back = io.BytesIO()
    s3.download_fileobj(bucket, "big", back)
    assert back.getvalue() == body
    part = s3.get_object(Bucket=bucket, Key="big", Range="bytes=5-9")
    assert part["ResponseMetadata"]["HTTPStatusCode"] == 206
    assert part["Body"].read() == body[5:10]
    assert s3fs.S3FileSystem().cat_file(f"{bucket}/big", start=-4, end=None) == body[-4:]


def test_many_writers_and_readers_at_once(bucket: str) -> None:
    filesystem, root = pyarrow.fs.FileSystem.from_uri(f"s3://{bucket}/parts")

    def write_and_read(number: int) -> int:
        path = f"{root}/{number}.parquet"
        pq.write_table(pa.table({"n": [number] * 1000}), path, filesystem=filesystem)
        return sum(pq.read_table(path, filesystem=filesystem)["n"].to_pylist()) // 1000

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(write_and_read, range(40))) == list(range(40))


# -- truth ---------------------------------------------------------------------------------------


def test_tags_go_with_their_resource(client: Client) -> None:
    ec2 = client("ec2")
    tag = [{"Key": "purpose", "Value": "tags-test"}]
    vpc = ec2.create_vpc(
        CidrBlock="10.9.0.0/16", TagSpecifications=[{"ResourceType": "vpc", "Tags": tag}]
    )["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(
        VpcId=vpc,
        CidrBlock="10.9.1.0/24",
        TagSpecifications=[{"ResourceType": "subnet", "Tags": tag}],
    )["Subnet"]["SubnetId"]

    def tagged() -> set[str]:
        answer = ec2.describe_tags(Filters=[{"Name": "value", "Values": ["tags-test"]}])
        return {item["ResourceId"] for item in answer["Tags"]}

    assert tagged() == {vpc, subnet}
    ec2.delete_subnet(SubnetId=subnet)
    assert tagged() == {vpc}
    ec2.delete_vpc(VpcId=vpc)
    assert tagged() == set()


def test_managed_policies_can_be_attached(client: Client) -> None:
    iam = client("iam")
    iam.create_role(RoleName="managed", AssumeRolePolicyDocument="{}")
    arn = "arn:aws:iam::aws:policy/AmazonEKSClusterPolicy"
    iam.attach_role_policy(RoleName="managed", PolicyArn=arn)
    assert iam.get_policy(PolicyArn=arn)["Policy"]["Arn"] == arn
    iam.detach_role_policy(RoleName="managed", PolicyArn=arn)
    iam.delete_role(RoleName="managed")


def test_whoever_signs_with_another_accounts_key_is_in_that_account(client: Client) -> None:
    role = "arn:aws:iam::222222222222:role/theirs"
    key = client("sts").assume_role(RoleArn=role, RoleSessionName="session")["Credentials"]
    theirs = boto3.Session(key["AccessKeyId"], key["SecretAccessKey"], key["SessionToken"])
    assert theirs.client("sts").get_caller_identity()["Account"] == "222222222222"
    theirs.client("sqs").create_queue(QueueName="theirs")
    assert "QueueUrls" not in client("sqs").list_queues(QueueNamePrefix="theirs")
    user = theirs.client("iam").create_user(UserName="one")["User"]["UserName"]
    lasting = theirs.client("iam").create_access_key(UserName=user)["AccessKey"]
    one = boto3.Session(lasting["AccessKeyId"], lasting["SecretAccessKey"])
    assert one.client("sts").get_caller_identity()["Account"] == "222222222222"
    assert client("sts").get_caller_identity()["Account"] == "123456789012"


def test_what_the_cloud_lacks_is_said_in_the_callers_protocol(client: Client) -> None:
    for call in (
        lambda: client("redshift").describe_hsm_configurations(),
        lambda: client("glue").list_blueprints(),
    ):
        with pytest.raises(ClientError, match="has not been implemented") as refusal:
            call()
        assert refusal.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501
