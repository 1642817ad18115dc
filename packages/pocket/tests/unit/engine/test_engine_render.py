"""What people see: one line a resource, what differs, counts; and never a secret."""

from pocket.engine import render
from pocket.engine.events import Result
from pocket.engine.state import ResourceState
from pocket.engine.steps import Diff, Op, Step
from pocket.engine.values import UNKNOWN, secret

URN = "urn:pulumi:dev::demo::aws:s3/bucketV2:BucketV2::raw"
KIND = "aws:s3/bucketV2:BucketV2"


def bucket(**inputs: object) -> ResourceState:
    return ResourceState(URN, KIND, True, "raw-1", inputs=inputs)


def text(result: Result, *, diff: bool = True) -> str:
    return "\n".join(line.plain for line in render.report(result, diff=diff))


def test_a_plan() -> None:
    created = Step(Op.CREATE, URN, KIND, new=bucket(bucket="raw", token=secret("hush")))
    changed = Step(
        Op.REPLACE,
        URN,
        KIND,
        old=bucket(size=1, tags={"a": 1}),
        new=bucket(size=UNKNOWN, password=secret("hush")),
        diff=Diff(
            True,
            ("size",),
            ("size", "password"),
            {"size": "update-replace", "password": "add", "tags.a": "delete"},
        ),
    )
    same = Step(Op.SAME, URN, KIND)
    part = Step(Op.CREATE_REPLACEMENT, URN, KIND)
    outputs = {"url": "https://…", "key": "hush"}
    result = Result("preview", "dev", (created, part, changed, same), outputs, frozenset({"key"}))
    assert text(result).splitlines() == [
        "Previewing update (dev)",
        " + aws:s3/bucketV2:BucketV2 raw create",
        '      bucket: "raw"',
        "      token: [secret]",
        "+- aws:s3/bucketV2:BucketV2 raw replace [diff: ~size, ~password, ~tags]",
        "    + password: [secret]",
        "    ~ size: 1 => [unknown] (replaces)",
        "    - tags.a: 1",
        "Outputs:",
        "    key : [secret]",
        '    url : "https://…"',
        "Resources:",
        "      1 unchanged",
        "    + 1 to create",
        "   +- 1 to replace",
    ]
    assert "hush" not in text(result)


def test_a_result() -> None:
    gone = Step(Op.DELETE, URN, KIND, old=bucket(), duration=1.23)
    failed = Step(Op.CREATE, URN, KIND, new=bucket(), error="it exists")
    shown = text(Result("destroy", "dev", (gone, failed), duration=2.5), diff=False)
    assert " - aws:s3/bucketV2:BucketV2 raw delete (1.2s)" in shown
    assert "create failed: it exists" in shown
    assert "    - 1 deleted" in shown
    assert shown.endswith("Duration: 2.5s")


def test_resources_by_module() -> None:
    assert render.by_package([Step(Op.CREATE, URN, KIND), Step(Op.CREATE, URN, KIND)]) == {
        "aws:s3": 2
    }
