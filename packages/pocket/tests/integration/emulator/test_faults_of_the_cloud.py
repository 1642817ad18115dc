"""The fault injector as real clients meet it, in each of AWS's protocols."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError

from pocket.emulator import CloudEndpoints

ONCE = Config(retries={"total_max_attempts": 1})
ALARM: dict[str, Any] = {"EvaluationPeriods": 1, "ComparisonOperator": "GreaterThanThreshold"}
ALARM |= {"MetricName": "m", "Namespace": "n", "Period": 60, "Statistic": "Sum", "Threshold": 1}

# One service for each way in which AWS speaks: what to make, and how to see whether it is there.
MAKERS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], bool]]] = {
    "ec2": (
        lambda api: api.create_vpc(CidrBlock="10.77.0.0/16"),
        lambda api: any(v["CidrBlock"] == "10.77.0.0/16" for v in api.describe_vpcs()["Vpcs"]),
    ),
    "s3": (
        lambda api: api.create_bucket(Bucket="faulty"),
        lambda api: any(b["Name"] == "faulty" for b in api.list_buckets()["Buckets"]),
    ),
    "iam": (
        lambda api: api.create_role(RoleName="faulty", AssumeRolePolicyDocument="{}"),
        lambda api: any(r["RoleName"] == "faulty" for r in api.list_roles()["Roles"]),
    ),
    "kinesis": (
        lambda api: api.create_stream(StreamName="faulty", ShardCount=1),
        lambda api: "faulty" in api.list_streams()["StreamNames"],
    ),
    "efs": (
        lambda api: api.create_file_system(CreationToken="faulty"),
        lambda api: bool(api.describe_file_systems(CreationToken="faulty")["FileSystems"]),
    ),
    "cloudwatch": (
        lambda api: api.put_metric_alarm(AlarmName="faulty", **ALARM),
        lambda api: bool(api.describe_alarms(AlarmNames=["faulty"])["MetricAlarms"]),
    ),
}


class Injector:
    def __init__(self, url: str) -> None:
        self._url = f"{url}/_pocket/faults"

    def __call__(self, method: str, *rules: dict[str, Any]) -> list[dict[str, Any]]:
        request = urllib.request.Request(
            self._url,
            method=method,
            data=json.dumps(rules).encode() if rules else None,
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request) as answer:
            found: list[dict[str, Any]] = json.load(answer)["rules"]
            return found


@pytest.fixture
def injector(cloud: CloudEndpoints) -> Iterator[Injector]:
    made = Injector(cloud.endpoint_url)
    yield made
    made("DELETE")


@pytest.mark.parametrize("service", MAKERS)
def test_each_kind_of_failure_in_each_protocol(
    service: str, cloud: CloudEndpoints, injector: Injector
) -> None:
    make, is_there = MAKERS[service]
    once, patient = boto3.client(service, config=ONCE), boto3.client(service)
    rule = {"service": service, "operation": "[CP]*", "times": 1}

    injector("POST", {**rule, "kind": "throttle"})
    with pytest.raises(ClientError, match=r"Throttling|SlowDown"):
        make(once)
    injector("POST", {**rule, "kind": "server_error"})
    with pytest.raises(ClientError, match="on purpose"):
        make(once)
    assert not is_there(once)

    injector("POST", {**rule, "kind": "lost_answer"})
    with pytest.raises(ConnectionClosedError):
        make(once)
    assert is_there(once)
    (told,) = injector("GET")
    assert told["hits"] == 1
    assert [call.split(".")[0] for call in told["calls"]] == [service]

    # Real clients try again by themselves: reads are struck only where they are named.
    injector("POST", {"kind": "throttle", "times": 2, "service": service})
    assert is_there(patient)
    assert injector("GET")[0]["hits"] == 2


def test_a_wrong_rule_is_refused_and_changes_nothing(injector: Injector) -> None:
    injector("POST", {"kind": "slow", "seconds": 0})
    with pytest.raises(urllib.error.HTTPError) as refusal:
        injector("POST", {"kind": "explode"})
    assert "there is no fault 'explode'" in json.load(refusal.value)["error"]
    assert [rule["kind"] for rule in injector("GET")] == ["slow"]
    assert injector("DELETE") == []
