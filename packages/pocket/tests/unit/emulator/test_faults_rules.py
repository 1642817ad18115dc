"""Which call a request makes, and which calls a rule of the fault injector lets fail."""

from __future__ import annotations

import io
from typing import Any

import botocore.session
import pytest
from botocore.awsrequest import AWSRequest
from hypothesis import given
from hypothesis import strategies as st

from pocket.emulator.core.calls import Call, call_of
from pocket.emulator.core.faults import Faults, Rule

CALLS = [
    ("ec2", "create_vpc", {"CidrBlock": "10.0.0.0/16"}),
    ("iam", "create_role", {"RoleName": "a", "AssumeRolePolicyDocument": "{}"}),
    ("dynamodb", "list_tables", {}),
    ("cloudwatch", "put_metric_alarm", None),
    ("s3", "list_buckets", {}),
    ("s3", "create_bucket", {"Bucket": "lake"}),
    ("s3", "put_bucket_versioning", {"Bucket": "lake", "VersioningConfiguration": {}}),
    ("s3", "put_object", {"Bucket": "lake", "Key": "a/b/c", "Body": b""}),
    ("s3", "delete_bucket_policy", {"Bucket": "lake"}),
    ("s3", "list_objects_v2", {"Bucket": "lake"}),
    ("eks", "create_cluster", None),
    ("eks", "describe_addon", {"clusterName": "a", "addonName": "b"}),
    ("eks", "create_pod_identity_association", None),
    ("efs", "create_mount_target", {"FileSystemId": "fs-12345678", "SubnetId": "subnet-12345678"}),
    ("efs", "tag_resource", {"ResourceId": "fs-12345678", "Tags": []}),
    ("backup", "create_backup_vault", {"BackupVaultName": "a"}),
]
ALARM = {
    "AlarmName": "a",
    "EvaluationPeriods": 1,
    "ComparisonOperator": "GreaterThanThreshold",
}
CLUSTER = {"name": "a", "roleArn": "arn:aws:iam::1:role/a", "resourcesVpcConfig": {}}
IDENTITY = {"clusterName": "a", "namespace": "b", "serviceAccount": "c", "roleArn": "d"}
LATER: dict[str, dict[str, Any]] = {
    "put_metric_alarm": ALARM,
    "create_cluster": CLUSTER,
    "create_pod_identity_association": IDENTITY,
}


def environ_of(service: str, method: str, given: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """What the server is given when a client makes this call: the real client, stopped before it
    sends."""
    sent: list[AWSRequest] = []

    def stop(request: AWSRequest, **_: Any) -> Any:
        sent.append(request)
        raise InterruptedError

    session = botocore.session.Session()
    session.set_credentials("test", "test")
    client = session.create_client(
        service, region_name="eu-central-1", endpoint_url="http://127.0.0.1:1"
    )
    client.meta.events.register("before-send.*", stop)
    with pytest.raises(InterruptedError):
        getattr(client, method)(**given)
    (request,) = sent
    path, _, query = str(request.url).removeprefix("http://127.0.0.1:1").partition("?")
    body = request.body or b""
    content = body.encode() if isinstance(body, str) else body
    content = content if isinstance(content, bytes) else content.read()
    headers = {key.upper().replace("-", "_"): value for key, value in request.headers.items()}
    texts = {k: v.decode() if isinstance(v, bytes) else str(v) for k, v in headers.items()}
    return client.meta.method_to_api_mapping[method], {
        "REQUEST_METHOD": request.method,
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "CONTENT_TYPE": texts.get("CONTENT_TYPE", ""),
        "CONTENT_LENGTH": str(len(content)),
        "wsgi.input": io.BytesIO(content),
        **{f"HTTP_{key}": value for key, value in texts.items()},
    }


@pytest.mark.parametrize(("service", "method", "given"), CALLS, ids=[c[1] for c in CALLS])
def test_a_request_names_its_call(service: str, method: str, given: dict[str, Any] | None) -> None:
    operation, environ = environ_of(service, method, given or LATER.get(method, {}))
    before = environ["wsgi.input"].getvalue()
    assert call_of(environ) == Call(service, operation)
    assert environ["wsgi.input"].read() == before


@given(nth=st.integers(1, 6), step=st.integers(1, 4), times=st.none() | st.integers(0, 4))
def test_a_rule_strikes_the_nth_and_then_each_step_so_many_times(
    nth: int, step: int, times: int | None
) -> None:
    faults = Faults()
    faults.set({"kind": "throttle", "nth": nth, "step": step, "times": times})
    (counted,) = faults._rules
    struck = [n for n in range(1, 21) if counted.strikes(Call("ec2", "CreateVpc"))]
    assert struck == list(range(nth, 21, step))[:times]
    assert faults.report()[0]["hits"] == len(struck)


def test_a_rule_takes_only_what_it_names() -> None:
    rule = Rule(kind="throttle", service="e*", operation="*", changes_only=True)
    assert rule.matches(Call("ec2", "CreateVpc"))
    assert not rule.matches(Call("ec2", "DescribeVpcs"))
    assert not rule.matches(Call("iam", "CreateRole"))


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ({"kind": "explode"}, "there is no fault 'explode': one of throttle, server_error"),
        ({"operation": "*"}, "a rule is an object with a kind"),
        ({"kind": "slow", "second": 1}, "a rule has no second: it has"),
        ({"kind": "slow", "nth": 0}, "nth and step count from 1"),
    ],
)
def test_what_is_no_rule_is_refused(document: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Faults().set(document)
