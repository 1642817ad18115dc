"""Every rule of the environment document, with the sentence that a person sees."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from contracts.environment import DAY, TIERS, Environment
from contracts.errors import DocumentError

SMALL: dict[str, Any] = {
    "name": "dev",
    "tier": "dev",
    "account": "123456789012",
    "region": "eu-central-1",
}


def changed(path: str, value: object) -> dict[str, Any]:
    """The small document with one key set (``a.b`` goes inwards)."""
    document = copy.deepcopy(SMALL)
    place = document
    *sections, last = path.split(".")
    for section in sections:
        place = place.setdefault(section, {})
    place[last] = value
    return document


def problems(document: object) -> tuple[str, ...]:
    """What a document is refused for."""
    with pytest.raises(DocumentError) as caught:
        Environment.parse(document)
    return caught.value.problems


PLACES = {
    "vpc": "vpc-0123456789abcdef0",
    "private_subnets": ["subnet-0a000001", "subnet-0a000002"],
    "database_subnets": ["subnet-0d000001", "subnet-0d000002"],
}
ROLE = "arn:aws:iam::123456789012:role/someone"
GROUP = {"instance_types": ["m7i.large"], "min": 1, "max": 2}
REFUSED: list[tuple[str, object, str]] = [
    (
        "name",
        "Dev",
        "name: 'Dev' is not a name of at most 63 lower-case letters, digits and single hyphens",
    ),
    ("name", "a--b", "is not a name of at most 63"),
    ("name", "x" * 17, "name: string should have at most 16 characters"),
    ("tier", "stagign", "tier: 'stagign' is not known; did you mean 'staging'?"),
    (
        "account",
        123456789012,
        "account: put the twelve digits in quotes: as a number they read 12345",
    ),
    ("account", 12345678901.0, "account: put the twelve digits in quotes"),
    ("account", "1234", "account: '1234' is not an AWS account: twelve digits, in quotes"),
    ("region", "Frankfurt", "region: 'Frankfurt' is not an AWS region such as eu-central-1"),
    ("netwrok", {}, "netwrok: unknown key; did you mean 'network'?"),
    ("network.cidr", "10.0.0.0/24", "10.0.0.0/24 is a /24; the subnets of eight zones need"),
    ("network.cidr", "8.8.0.0/16", "8.8.0.0/16 is not private; take it from 10.0.0.0/8, say"),
    ("network.cidr", "10.0.0.1/16", "'10.0.0.1/16' is not a network such as 10.0.0.0/16"),
    ("network.zones", ["a"], "network.zones: 1 zones; two or three are needed"),
    ("network.zones", ["a", "a"], "network.zones: a, a: a zone is named twice"),
    ("network.zones", ["a", "z"], "network.zones: 'z' is not a zone's letter: a to h"),
    (
        "network.existing",
        {key: value for key, value in PLACES.items() if key != "vpc"},
        "network.existing.vpc: missing; it is required",
    ),
    ("network.existing", {**PLACES, "vpc": "mine"}, "existing.vpc: 'mine' is not a VPC such as"),
    (
        "network.existing",
        {**PLACES, "database_subnets": ["subnet-0d000001"]},
        "database_subnets: 1 subnets; two or more are needed, in different zones",
    ),
    (
        "network.existing",
        {**PLACES, "private_subnets": ["subnet-0a000001"] * 2},
        "a subnet is named twice",
    ),
    ("lake.existing", {"logs": "b-u"}, "lake.existing.logs"),
    ("lake.existing", {"raw": "Mine"}, "'Mine' is not a bucket's name"),
    ("lake.existing", {"raw": "one", "curated": "one"}, "a bucket is named for two purposes"),
    (
        "lake.existing_keys",
        ["arn:aws:kms:eu-central-1:123456789012:key/0a"],
        "existing_keys belong to existing buckets, and there are none",
    ),
    ("network.nat", "double", "network.nat: 'double' is not known"),
    ("keys.rotation", "30d", "keys.rotation: KMS rotates keys every: 90d to 2560d, not 30d"),
    ("retention.keys", "5d", "retention.keys: KMS keeps deleted keys: 7d to 30d, not 5d"),
    ("retention.backups", "36d", "backups are kept: 1d to 35d, not 36d"),
    ("retention.backups", "36h", "AWS counts this in whole days; write it such as 7d"),
    ("retention.logs", "10d", "CloudWatch does not keep logs for 10d; the nearest is 7d"),
    ("retention.protect", "yes", "retention.protect: input should be a valid boolean"),
    ("lake.lifecycle.infrequent_after", "10d", "S3 moves to infrequent access after: 30d"),
    ("lake.lifecycle.versions", "12h", "AWS counts this in whole days"),
    (
        "lake.lifecycle",
        {"infrequent_after": "60d", "archive_after": "70d"},
        "archive_after must be at least 30d after infrequent_after",
    ),
    ("warehouse.node_type", "ra3.xlplsu", "is not a Redshift node type; did you mean 'ra3.xlplus'"),
    (
        "warehouse",
        {"node_type": "ra3.4xlarge", "nodes": 1},
        "one ra3.4xlarge node cannot stand alone; take two, or one of ra3.large, ra3.xlplus",
    ),
    ("warehouse.nodes", 0, "warehouse.nodes: input should be greater than or equal to 1"),
    ("warehouse.database", "template1", "'template1' is a name that Redshift keeps for itself"),
    ("warehouse.user", "Admin", "warehouse.user: 'Admin' is not a name of lower-case letters"),
    ("online_store.tables", {"t": {"key": "a", "sort": "a"}}, "both the key and the sort key"),
    ("online_store.tables", {"t": {"key": "a", "ttl": "a"}}, "'a' is part of the key and cannot"),
    ("online_store.tables", {"t": {}}, "online_store.tables.t.key: missing"),
    ("cache.node_type", "cache.t4g.smal", "did you mean 'cache.t4g.small'?"),
    ("cache.replicas", 6, "cache.replicas: input should be less than or equal to 5"),
    ("cache", {"engine": "redis"}, "redis 8.0 is not offered; one of 6.2, 7.0, 7.1 is"),
    ("cluster.version", "1.20", "'1.20' is not a Kubernetes version such as 1.35"),
    ("cluster.public_access", ["0.0.0.0/0"], "open to the whole internet; name the networks"),
    ("cluster.node_groups", {}, "cluster.node_groups: dictionary should have at least 1 item"),
    (
        "cluster.node_groups",
        {"one": {**GROUP, "min": 0}},
        "no group without taints has a min of 1 or more",
    ),
    (
        "cluster.node_groups",
        {"one": {**GROUP, "taints": [{"key": "a"}]}},
        "no group without taints has a min of 1 or more",
    ),
    ("cluster.node_groups", {"one": {**GROUP, "min": 3}}, "min 3 is more than max 2"),
    (
        "cluster.node_groups",
        {"one": {**GROUP, "instance_types": []}},
        "a group needs 1 to 20 instance types",
    ),
    (
        "cluster.node_groups",
        {"one": {**GROUP, "instance_types": ["m7i"]}},
        "'m7i' is not an EC2 instance type such as m7i.xlarge",
    ),
    (
        "cluster.node_groups",
        {"one": {**GROUP, "instance_types": ["m7i.large", "g5.xlarge"]}},
        "a group mixes GPU types and others; make two groups",
    ),
    ("registry.repositories", ["one", "one"], "a repository is named twice"),
    ("registry.keep", 0, "registry.keep: input should be greater than or equal to 1"),
    ("identity.boundary", "mine", "identity.boundary: 'mine' is not an IAM ARN"),
    ("network.endpoints", ["ecr.apu"], "is not a service with an endpoint; did you mean 'ecr.api'"),
    ("warehouse.capacity", 12, "capacity comes as 4 or in steps of 8, not 12"),
    ("warehouse.capacity", 128, "capacity 128 is more than max_capacity"),
    (
        "online_store.tables",
        {"t": {"key": "a", "capacity": {"min": 5, "max": 4}}},
        "min 5 is more than max 4",
    ),
    ("cache", {"tls": False, "users": ["x"]}, "users sign in over TLS only; set tls, or name no"),
    ("cluster.admins", ["me"], "'me' is not an IAM ARN"),
    (
        "lake.catalog.tables",
        {"t": {"bucket": "raw", "columns": [{"name": "a", "type": "string"}] * 2}},
        "named twice: a",
    ),
    ("lake.catalog.scan_limit", 0, "should be greater than or equal to 1"),
    ("file_system.access_points", {"a": 1000, "b": 1000}, "have the same user id"),
    ("file_system.access_points", {"a": 10}, "user ids lie between 1000 and 60000"),
    ("stream.retention", "400d", "Kinesis keeps events: 1d to 365d, not 400d"),
    ("database.instance", "db.t4g.smal", "did you mean 'db.t4g.small'?"),
    ("database.version", "9", "'9' is not a Postgres version, 14 to 18"),
    ("database.max_storage", 51, "max_storage 51 leaves 50 GiB no tenth to grow"),
    ("observability.emails", ["nobody"], "'nobody' is not an e-mail address"),
    ("budget.alerts", [50, 50], "one to five different percentages"),
    ("tags", {"aws:x": "1"}, "tags: 'aws:x' is kept for AWS or Millwright; choose another key"),
    ("tags", {"millwright:x": "1"}, "'millwright:x' is kept for AWS or Millwright"),
    ("tags", {"k": "v" * 257}, "'k': a tag has a key of 1 to 128 characters, a value to 256"),
    ("tags", {"": "v"}, "'': a tag has a key of 1 to 128 characters"),
    ("tags", {"AWS:x": "1"}, "'AWS:x' is kept for AWS or Millwright"),
    ("tags", {"name": "1"}, "'name' is kept for AWS or Millwright"),
    ("tags", {"team": "a", "Team": "b"}, "the key 'Team' is named twice"),
    (
        "tags",
        {"team": "a,b"},
        "'a,b': tags take letters, digits, spaces and + - . / : = @ _, not ','",
    ),
    ("tags", {"tëam?": "a"}, "not '?'"),
    ("tags", {"team": "a\tb"}, "not '\\t'"),
    ("warehouse.user", "user", "warehouse.user: 'user' is a name that Redshift keeps for itself"),
    ("warehouse.user", "public", "'public' is a name that Redshift keeps for itself"),
    ("warehouse.user", "rdsdb", "'rdsdb' is a name that Redshift keeps for itself"),
    ("warehouse.database", "table", "'table' is a name that Redshift keeps for itself"),
    (
        "budget.emails",
        [f"a{number}@example.com" for number in range(11)],
        "AWS tells 10 addresses of a budget, not 11",
    ),
    ("budget.emails", ["a@example.com", "A@example.com"], "'A@example.com' is named twice"),
    ("observability.emails", ["a@example.com"] * 2, "'a@example.com' is named twice"),
    ("network.endpoints", ["sts", "sts"], "the service 'sts' is named twice"),
    ("cache.users", ["a", "a"], "the user 'a' is named twice"),
    ("cache.users", ["default"], "the user 'default' is named twice"),
    ("cluster.admins", [ROLE, ROLE], "is named twice"),
    ("cluster.admins", [ROLE, ROLE.replace("role/", "role/team/")], "'someone' is named twice"),
    ("cluster", {"admins": [ROLE], "viewers": [ROLE]}, "is named twice"),
    ("cluster.admins", [ROLE.replace("role", "policy")], "is a policy; name roles and users"),
    ("cluster.node_groups", {"x" * 37: GROUP}, "at most 36 characters"),
    ("on_cluster.host", "a..b", "'a..b' is not a host name such as ml.example.com"),
    ("on_cluster.host", "-a.example.com", "is not a host name such as"),
    ("on_cluster.host", ".".join(["a" * 60] * 5), "is not a host name such as"),
    *(
        ("cluster.node_groups", {"one": {**GROUP, **changes}}, message)
        for changes, message in (
            ({"instance_types": ["m7i.large", "m7g.large"]}, "a group mixes arm64 and x86_64"),
            ({"instance_types": ["g5.xlarge", "g5g.xlarge"]}, "arm64 with NVIDIA GPUs and x86_64"),
            ({"instance_types": ["inf2.xlarge", "m7i.large"]}, "mixes GPU types and others"),
            ({"instance_types": ["mac2.metal"]}, "EKS has no nodes of this series"),
            ({"labels": {"kubernetes.io/role": "a"}}, "the prefix kubernetes.io/ is reserved"),
            ({"labels": {"node.k8s.io/role": "a"}}, "the prefix k8s.io/ is reserved"),
            ({"labels": {"eks.amazonaws.com/x": "a"}}, "the prefix eks.amazonaws.com/ is reserved"),
            ({"labels": {"millwright/group": "a"}}, "is set already, to the group's name"),
            ({"labels": {"team": ""}}, "'': a node label value has 1 to 63 characters, not 0"),
            ({"labels": {"x" * 64: "a"}}, "a node label key has 1 to 63 characters, not 64"),
            ({"labels": {"te am": "a"}}, "'te am' is not a label's key such as team"),
            ({"labels": {"team": "-a"}}, "'-a' is not a label's value"),
            ({"taints": [{"key": "node.kubernetes.io/x"}]}, "kubernetes.io/ is reserved"),
            ({"taints": [{"key": ""}]}, "'': a taint key has 1 to 63 characters, not 0"),
            ({"taints": [{"key": "a", "value": "b c"}]}, "'b c' is not a label's value"),
        )
    ),
]


@pytest.mark.parametrize(("path", "value", "message"), REFUSED)
def test_refused(path: str, value: object, message: str) -> None:
    found = problems(changed(path, value))
    assert any(message in problem for problem in found), found
    assert len(found) == 1, found


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("tags", {"Kostenstelle Süd": "a+b = c/d_e.f:g@h-1", "empty": ""}),
        ("warehouse.user", "analyst"),
        ("cluster.node_groups", {"one": {**GROUP, "labels": {"example.com/team": "a.b_c-d"}}}),
        (
            "cluster.node_groups",
            {"one": GROUP, "gpu": {**GROUP, "taints": [{"key": "nvidia.com/gpu"}]}},
        ),
        (
            "cluster.node_groups",
            {"one": GROUP, "empty": {**GROUP, "taints": [{"key": "a", "value": ""}]}},
        ),
        ("budget.emails", [f"a{number}@example.com" for number in range(10)]),
        ("on_cluster.host", "*.ml.example.com"),
    ],
)
def test_taken(path: str, value: object) -> None:
    assert Environment.parse(changed(path, value))


@pytest.mark.parametrize("key", ["name", "tier", "account", "region"])
def test_required(key: str) -> None:
    document = {name: value for name, value in SMALL.items() if name != key}
    assert any(
        problem.startswith(f"{key}: missing; it is required:") for problem in problems(document)
    )


def test_all_problems_at_once() -> None:
    document = {**SMALL, "account": "1", "network": {"zones": []}, "cache": {"tsl": True}}
    assert len(problems(document)) == 3


@pytest.mark.parametrize(
    "document", [None, [], "dev", {"tier": ["dev"]}, {"tier": "dev", "cache": 3}]
)
def test_what_is_no_environment_is_refused_without_a_crash(document: object) -> None:
    assert problems(document)


@pytest.mark.parametrize("tier", sorted(TIERS))
def test_a_tier_settles_and_what_is_written_holds(tier: str) -> None:
    settled = Environment.parse({**SMALL, "tier": tier})
    assert settled.retention.protect is (tier == "prod")
    written = Environment.parse(
        {**SMALL, "tier": tier, "retention": {"logs": "90d"}, "cache": {"tls": True}}
    )
    assert written.retention.logs == 90 * DAY
    assert written.cache.tls is True
    assert written.retention.backups == settled.retention.backups


def test_ten_lines_are_an_environment() -> None:
    text = Path(__file__).resolve().parents[3].joinpath("Pulumi.dev.yaml").read_text()
    assert len(text.splitlines()) <= 10


def test_the_projects_environments_are_read() -> None:
    for path in Path(__file__).resolve().parents[3].glob("Pulumi.*.yaml"):
        environment = Environment.read(path)
        assert Environment.parse(environment.model_dump(mode="json")) == environment


def test_a_file_named_otherwise_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "Pulumi.prod.yaml"
    path.write_text(yaml.safe_dump({"config": {"millwright:environment": SMALL}}))
    with pytest.raises(DocumentError, match="the environment is named 'dev'") as caught:
        Environment.read(path)
    assert "Pulumi.dev.yaml" in caught.value.fix
