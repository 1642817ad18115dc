"""What an exported state must look like, checked on every machine against the documented form
(deployment version 3), written as a JSON Schema beside this file.
"""

from __future__ import annotations

import copy
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from pocket.engine import export_state, up
from pocket.engine.values import OUTPUT, SECRET, SIGNATURE, UNKNOWN
from pocket.errors import DeploymentError
from pocket_testing.stacks import PASSPHRASE, Stack

VALIDATOR = Draft202012Validator(
    json.loads(Path(__file__).with_name("deployment.schema.json").read_text())
)
EVERYTHING = """
    north = Provider("north", region="north", password=Output.secret("p"), version="1")
    a = Thing("a", Opts(provider=north, protect=True), size=1, password=Output.secret("hush"))
    g = Group("g", Opts(aliases=[pulumi.Alias(name="former")]))
    Thing("b", Opts(parent=g, retain_on_delete=True, ignore_changes=["tags.x"],
                    replace_on_changes=["size"], additional_secret_outputs=["label"],
                    custom_timeouts=pulumi.CustomTimeouts(create="5m"), hide_diffs=["tags"]),
          tags={"x": a.label, "none": None}, size=1.5)
    Thing("c", Opts(deleted_with=a, replace_with=[a], replacement_trigger=Output.secret("t")),
          links=[a.serial], fault="FAULT")
    found = Thing("found", Opts(id=a.id, additional_secret_outputs=["password"]))
    export("password", a.password)
    export("listed", [a.size, True, {"deep": found.label}])
"""


@pytest.fixture
def exported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The state of a program with every option, with an update in it whose end is not known."""
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", PASSPHRASE)
    stack = Stack(tmp_path)
    up(stack.write(EVERYTHING.replace("FAULT", "none")))
    with pytest.raises(DeploymentError, match="lose-update"):
        up(stack.write(EVERYTHING.replace("FAULT", "lose-update")))
    return export_state(stack.workspace)


def problems(document: Any) -> list[str]:
    return [f"{one.json_path}: {one.message}" for one in VALIDATOR.iter_errors(document)]


def test_an_export_has_the_documented_form(exported: dict[str, Any]) -> None:
    assert problems(exported) == []
    deployment = exported["deployment"]
    assert [one["type"] for one in deployment["pending_operations"]] == ["updating"]
    manifest = deployment["manifest"]
    assert manifest["magic"] == hashlib.sha256(manifest["version"].encode()).hexdigest()
    used = {key for one in deployment["resources"] for key in one}
    assert used >= {"protect", "hideDiff", "external", "replacementTrigger", "replaceWith"}
    assert (exported["version"], exported["features"]) == (4, ["replaceWith"])
    assert "aliases" not in used, "they are spent once the resource has its new name"
    assert "hush" not in json.dumps(exported)
    seen: set[str] = set()
    for one in deployment["resources"]:
        provider = one.get("provider", "").rpartition("::")[0]
        needed = {one.get("parent", ""), provider, *one.get("dependencies", ())}
        assert needed - {""} <= seen, "each resource comes after what it needs"
        seen.add(one["urn"])


def test_the_form_refuses_what_the_cli_would(exported: dict[str, Any]) -> None:
    wrong: list[tuple[str, object]] = [
        ("id", ""),
        ("id", UNKNOWN),
        ("provider", "aws"),
        ("delete", False),
        ("inputs", {"x": {SIGNATURE: SECRET, "value": 1}}),
        ("inputs", {"x": [{SIGNATURE: OUTPUT}]}),
        ("created", "yesterday"),
        ("invented", 1),
    ]
    for field, value in wrong:
        broken = copy.deepcopy(exported)
        broken["deployment"]["resources"][-1][field] = value
        assert problems(broken), field
