"""The embedded engine beside the real Pulumi CLI: the same programs, the same provider, and states
that must agree field by field and move both ways.

Skipped where there is no ``pulumi`` on PATH; what an exported state must look like is tested
always, in test_exported_state.py.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections import Counter
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pocket import emulator as cloud
from pocket import engine, pulumi_cli
from pocket.engine import Op
from pocket.engine.workspace import lent
from pocket.errors import DeploymentError, OptionError
from pocket.provider.provider import AwsProvider
from pocket.pulumi_cli import PulumiCli
from pocket_testing.exports import anonymous, comparable, differences
from pocket_testing.stacks import PASSPHRASE, SALT, Stack

pytestmark = pytest.mark.skipif(
    not (shutil.which("pulumi") and shutil.which("pulumi-language-python")),
    reason="the Pulumi CLI is not on PATH",
)

PLUGIN = """#!/bin/sh
export PYTHONPATH="{checkout}"
exec "{python}" -m pocket_testing.shelf "{shelf}"
"""
CHECKOUT = Path(__file__).resolve().parents[2]
VALUES: dict[str, str | None] = json.loads(
    (CHECKOUT / "unit/engine/values_of_the_cli.json").read_text(encoding="utf-8")
)


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", PASSPHRASE)


def lay(folder: Path) -> Stack:
    """A stack whose shelf the CLI's plugin fills too."""
    stack = Stack(folder)
    plugin = folder / "plugins" / "pulumi-resource-shelf"
    plugin.parent.mkdir(parents=True)
    plugin.write_text(
        PLUGIN.format(checkout=CHECKOUT, python=sys.executable, shelf=stack.shelf.directory)
    )
    plugin.chmod(0o755)
    return stack


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Stack, Stack]:
    return lay(tmp_path / "ours"), lay(tmp_path / "theirs")


def by_cli(stack: Stack, kind: str, program: str) -> engine.Result:
    """One command of the CLI, with the stack's shelf as its plugin."""
    with pytest.MonkeyPatch.context() as patch:
        plugins = str(stack.root / "plugins")
        patch.setenv("PATH", os.pathsep.join((plugins, os.environ["PATH"])))
        result: engine.Result = getattr(pulumi_cli, kind)(stack.write(program))
        return result


ASSETS = """
    import tarfile, zipfile
    from pathlib import Path
    from pulumi import AssetArchive, FileArchive, FileAsset, StringAsset
    Path("data/deep").mkdir(parents=True, exist_ok=True)
    Path("data/deep/b.txt").write_text("CONTENT")
    Path("data/deep-not").write_text("comes after what is in deep, though - is before /")
    Path("data/empty").touch()
    Path("data", "long" * 40).write_text("a name that ustar cannot hold")
    Path("data/grün").write_text("nor this one")
    with zipfile.ZipFile("packed.zip", "w") as packed:
        packed.writestr(zipfile.ZipInfo("./z/y"), "CONTENT")
    with tarfile.open("packed.tar", "w") as packed:
        packed.add("data/deep", filter=lambda one: one.replace(mtime=0, uid=0, gid=0, deep=False))
    a = Thing("a", tags={"file": FileAsset("data/deep/b.txt"), "text": StringAsset("x")})
    b = Thing("b", tags={"folder": FileArchive("data"), "zip": FileArchive("packed.zip")})
    c = Thing("c", links=[AssetArchive({"x": StringAsset("x"), "data": FileArchive("data"),
              "zip": FileArchive("packed.zip"), "tar": FileArchive("packed.tar"),
              "more": AssetArchive({"data": FileAsset("data/empty")})})])
    d = Thing("d", tags={"file": FileAsset("data/empty"), "none": AssetArchive({})})
"""

TRANSFORMS = """
    def mark(letter, **options):
        def transform(args):
            if args.type_ != "shelf:index:Thing" or "skip" in args.name:
                return None
            trail = (args.props.get("tags") or {}).get("trail", "") + letter
            tags = {**(args.props.get("tags") or {}), "trail": trail}
            opts = Opts.merge(args.opts, Opts(**options))
            return pulumi.ResourceTransformResult({**args.props, "tags": tags}, opts)
        return transform

    first = Thing("first")
    pulumi.runtime.register_resource_transform(mark("s", ignore_changes=["kind"]))
    pulumi.runtime.register_invoke_transform(
        lambda args: pulumi.InvokeTransformResult({"size": args.args["size"] + 1}, args.opts)
    )
    outer = Group("outer", Opts(transforms=[mark("o", retain_on_delete=True)]))
    inner = Group("inner", Opts(parent=outer, transforms=[mark("i"), mark("j", LATER)]))
    hush = Output.secret("hush")
    a = Thing("a", Opts(parent=inner, transforms=[mark("1"), mark("2", depends_on=[first])]),
              size=2, links=[first.label], password=hush)
    b = Thing("b", Opts(parent=inner, depends_on=[a]), links=[a.label], tags={"deep": hush})
    c = Thing("skip", Opts(parent=outer, transforms=[mark("x")]), links=[first.label, hush])
    d = Thing("d", links=[c.label], size=a.size)
    export("found", Output.all(a.size, d.label).apply(lambda settled: len(
        pulumi.runtime.invoke("shelf:index:find", {"size": settled[0] - 1}).value["ids"])))
"""

SCENARIOS: dict[str, tuple[str, ...]] = {
    "assets": (ASSETS.replace("CONTENT", "one"), ASSETS.replace("CONTENT", "two")),
    "transforms": (
        TRANSFORMS.replace("LATER", "protect=False"),
        TRANSFORMS.replace("LATER", "hide_diffs=['size']").replace("size=2", "size=3"),
    ),
    "life": (
        """
        a = Thing("a", size=1)
        group = Group("g")
        b = Thing("b", Opts(parent=group), size=a.size, links=[a.label])
        c = Thing("c", Opts(depends_on=[group]), tags={"x": a.label, "y": "z"}, maybe=None)
        export("label", b.label)
        export("listed", [a.size, {"deep": b.serial}])
        """,
        """
        a = Thing("a", size=2)
        group = Group("g")
        b = Thing("b", Opts(parent=group), size=a.size)
        d = Thing("d", Opts(depends_on=[b]), size=1.5, tags={})
        export("label", b.label)
        """,
    ),
    "replacement": (
        """
        a = Thing("a", name="one")
        b = Thing("b", links=[a.label])
        c = Thing("c", kind="round")
        d = Thing("d", kind=c.label)
        e = Thing("e", Opts(replace_on_changes=["size"], delete_before_replace=True), size=1)
        f = Thing("f", Opts(replacement_trigger=1))
        g = Thing("g", Opts(replace_with=[f]), links=[d.label])
        """,
        """
        a = Thing("a", name="two")
        b = Thing("b", links=[a.label])
        c = Thing("c", kind="square")
        d = Thing("d", kind=c.label)
        e = Thing("e", Opts(replace_on_changes=["size"], delete_before_replace=True), size=2)
        f = Thing("f", Opts(replacement_trigger=2))
        g = Thing("g", Opts(replace_with=[f]), links=[d.label])
        """,
    ),
    "secrets": (
        """
        hush = Output.secret("hush")
        a = Thing("a", size=1, password=hush, tags={"deep": hush, "open": "x"}, links=[hush])
        b = Thing("b", Opts(additional_secret_outputs=["label", "serial"]), size=a.size)
        c = Thing("c", tags={"from": a.password, "inner": {"x": [a.password]}})
        p = Provider("p", region="north", token=hush, version="1")
        d = Thing("d", Opts(provider=p), password="open")
        export("password", a.password)
        export("mixed", {"one": a.password, "two": [a.label]})
        """,
        """
        hush = Output.secret("hush hush")
        a = Thing("a", size=1, password="open now", tags={"deep": hush, "open": "x"})
        b = Thing("b", Opts(additional_secret_outputs=["label"]), size=a.size)
        c = Thing("c", tags={"from": a.password, "inner": {"x": [hush]}})
        p = Provider("p", region="north", token=hush, version="1")
        d = Thing("d", Opts(provider=p), password=hush)
        export("password", Output.secret(a.password))
        export("mixed", hush.apply(lambda it: {"one": it}))
        """,
    ),
    "providers": (
        """
        north = Provider("north", region="north", other="x")
        a = Thing("a", Opts(provider=north))
        g = Group("g", Opts(providers=[north]))
        b = Thing("b", Opts(parent=g))
        c = Thing("c", links=[a.label])
        """,
        """
        north = Provider("north", region="north", other="y", more={"x": True, "n": 3})
        a = Thing("a", Opts(provider=north))
        g = Group("g", Opts(providers=[north]))
        b = Thing("b", Opts(parent=g))
        c = Thing("c", Opts(provider=north), links=[a.label])
        """,
        """
        north = Provider("north", region="south", other="y")
        a = Thing("a", Opts(provider=north))
        g = Group("g", Opts(providers=[north]))
        b = Thing("b", Opts(parent=g))
        """,
    ),
    "aliases": (
        """
        a = Thing("old")
        g = Group("g")
        b = Thing("g-x", Opts(parent=g), links=[a.label])
        c = Thing("c", Opts(depends_on=[b]), size=1)
        p = Provider("p", region="north")
        d = Thing("d", Opts(provider=p))
        """,
        """
        a = Thing("new", Opts(aliases=[pulumi.Alias(name="old")]))
        g = Group("h", Opts(aliases=[pulumi.Alias(name="g")]))
        b = Thing("h-x", Opts(parent=g), links=[a.label])
        c = Thing("c", Opts(parent=g, depends_on=[b],
                            aliases=[pulumi.Alias(parent=pulumi.ROOT_STACK_RESOURCE)]), size=2)
        p = Provider("q", Opts(aliases=[pulumi.Alias(name="p")]), region="north")
        d = Thing("d", Opts(provider=p))
        """,
    ),
    "options": (
        """
        a = Thing("a", Opts(protect=True), size=1)
        b = Thing("b", Opts(retain_on_delete=True, ignore_changes=["size", "tags.owner"]),
                  size=1, tags={"owner": "x", "team": "p"})
        c = Thing("c", Opts(deleted_with=a, hide_diffs=["tags"], depends_on=[a, b],
                  custom_timeouts=pulumi.CustomTimeouts(create="1h30m", delete="20s")))
        d = Thing("d", Opts(id=a.id))
        e = Thing("gone", Opts(retain_on_delete=True))
        export("found", d.label)
        """,
        """
        a = Thing("a", size=2)
        b = Thing("b", Opts(ignore_changes=["size", "tags.owner"]),
                  size=2, tags={"owner": "y", "team": "q"})
        c = Thing("c", Opts(protect=True, hide_diffs=["links", "tags.a"]))
        d = Thing("d", Opts(id=b.id))
        """,
    ),
    "deleted with": (
        """
        a = Thing("a", kind="one")
        x = Thing("x", Opts(deleted_with=a))
        y = Thing("y", Opts(deleted_with=a), kind=a.label)
        z = Thing("z", Opts(deleted_with=a), links=[a.label])
        w = Thing("w", Opts(deleted_with=y), kind=a.label)
        """,
        """
        a = Thing("a", kind="two")
        x = Thing("x", Opts(deleted_with=a))
        y = Thing("y", Opts(deleted_with=a), kind=a.label)
        z = Thing("z", Opts(deleted_with=a), links=[a.label])
        w = Thing("w", Opts(deleted_with=y), kind=a.label)
        """,
    ),
    "wildcards": (
        """
        o = Opts(ignore_changes=["links[*]", "tags.*"], replace_on_changes=["links[*]"])
        a = Thing("a", o, links=["a"], tags={"a": "b"})
        b = Thing("b", Opts(ignore_changes=["links[0]"]), links=["a"])
        c = Thing("c", Opts(replace_on_changes=["*"]), size=1)
        """,
        """
        o = Opts(ignore_changes=["links[*]", "tags.*"], replace_on_changes=["links[*]"])
        a = Thing("a", o, links=["x", "new"], tags={"a": "c", "d": "e"})
        b = Thing("b", Opts(ignore_changes=["links[0]"]), links=["x", "y"])
        c = Thing("c", Opts(replace_on_changes=["*"]), size=2)
        """,
    ),
}


def exported(stack: Stack) -> dict[str, Any]:
    return comparable(engine.export_state(stack.workspace), PASSPHRASE)


def plain(result: engine.Result) -> str:
    """The outputs, without what differs from run to run."""
    return anonymous(json.dumps(result.outputs, sort_keys=True))


def things(result: engine.Result) -> Counter[tuple[str, Op]]:
    """What was done to which thing; the CLI does not speak of default providers."""
    return Counter((one.name, one.op) for one in result.steps if one.type == "shelf:index:Thing")


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_states_agree_field_by_field(pair: tuple[Stack, Stack], name: str) -> None:
    ours, theirs = pair
    for program in SCENARIOS[name]:
        made = engine.up(ours.write(program))
        made_by_cli = by_cli(theirs, "up", program)
        assert not list(differences(exported(ours), exported(theirs)))
        assert things(made) == things(made_by_cli)
        assert plain(made) == plain(made_by_cli)
        assert made.secret_outputs == made_by_cli.secret_outputs
        if name != "deleted with":  # the CLI calls Delete for what goes with the replaced itself
            assert called(ours) == called(theirs)


def called(stack: Stack) -> Counter[str]:
    """What the provider was asked to do, without the ends that it gives names."""
    return Counter(line.rsplit("-", 1)[0] for line in stack.shelf.calls())


def test_what_is_tainted(pair: tuple[Stack, Stack]) -> None:
    program = """
        p = Provider("p", region="north")
        a = Thing("a", size=1)
        b = Thing("b", Opts(provider=p), links=[a.label])
        c = Thing("c", Opts(delete_before_replace=True), name="c", kind=b.label)
        """

    def by_either(stack: Stack) -> engine.Result:
        return engine.up(stack.write(program)) if stack is pair[0] else by_cli(stack, "up", program)

    for stack in pair:
        by_either(stack)
        document = engine.export_state(stack.workspace)
        for resource in document["deployment"]["resources"]:
            if resource["urn"].endswith(("::p", "::c")):
                resource["taint"] = True
        engine.import_state(stack.workspace, {**document, "version": 4, "features": ["taint"]})
        result = by_either(stack)
        assert things(result)["c", Op.REPLACE] == 1
    assert not list(differences(exported(pair[0]), exported(pair[1])))
    assert called(pair[0]) == called(pair[1])


@pytest.mark.parametrize(
    "program",
    [
        'Thing("x", Opts(aliases=[OLD])); Thing("y", Opts(aliases=[OLD]))',
        'Thing("old", Opts(depends_on=[Thing("x", Opts(aliases=[OLD]))]))',
        'Thing("x", Opts(aliases=[OLD], depends_on=[Thing("old")]))',
    ],
)
def test_neither_lets_two_go_on_from_one(pair: tuple[Stack, Stack], program: str) -> None:
    stack, _ = pair
    engine.up(stack.write('Thing("old")'))
    program = 'OLD = pulumi.Alias(name="old")\n' + program
    with pytest.raises(DeploymentError, match="both claim"):
        engine.preview(stack.write(program))
    with pytest.raises(DeploymentError, match="alias"):
        by_cli(stack, "preview", program)


def test_outputs_of_a_program_that_failed(pair: tuple[Stack, Stack]) -> None:
    program = 'a = Thing("a", size=SIZE); export("size", a.size); FAULT'
    for stack in pair:
        for size, fault in (
            (1, ""),
            (2, 'Thing("b", Opts(depends_on=[a]), fault="refuse-create")'),
        ):
            text = program.replace("SIZE", str(size)).replace("FAULT", fault)
            with pytest.raises(DeploymentError) if fault else nullcontext():
                engine.up(stack.write(text)) if stack is pair[0] else by_cli(stack, "up", text)
        assert engine.outputs(stack.workspace) == {"size": 2}


def test_values_are_the_clis(pair: tuple[Stack, Stack]) -> None:
    """`pulumi config` beside what a program is given."""
    stack, _ = pair
    workspace = stack.write("")
    given = {f"k{at}": value for at, value in enumerate(VALUES) if taken(value)}
    lines = "".join(
        f"  {key}: " + value.replace("\n", "\n  ") + "\n" for key, value in given.items()
    )
    path = stack.root / "Pulumi.dev.yaml"
    path.write_text(f"encryptionsalt: {SALT}\nconfig:\n{lines}", encoding="utf-8")
    cli = PulumiCli.find(workspace)
    with lent(workspace, cli) as document:
        cli.give(document, for_change=False)
        ours, theirs = (configured(cli, one) for one in (cli.config_file, path))
    assert ours == theirs
    assert theirs == {f"demo:{key}": VALUES[value] for key, value in given.items()}


def taken(value: str) -> bool:
    """Whether the CLI takes a value, and keeps it when it writes it: it rounds the largest."""
    return VALUES[value] is not None and "{a: 18446744073709551615}" not in value


def configured(cli: PulumiCli, path: Path) -> dict[str, str]:
    """What ``pulumi config`` says that a settings file holds."""
    where = ("--stack", cli.workspace.stack, "--config-file", str(path))
    told = json.loads(cli.call("config", "--json", "--show-secrets", *where))
    return {key: one.get("value", "") for key, one in told.items()}


def test_a_stack_moves_to_the_cli_and_back(pair: tuple[Stack, Stack]) -> None:
    """Through replacements and secrets: neither engine sees a change in what the other made."""
    stack, _ = pair
    first, second = SCENARIOS["secrets"]
    engine.up(stack.write(first))
    before = engine.export_state(stack.workspace)
    assert not by_cli(stack, "preview", first).changed
    assert engine.export_state(stack.workspace) == before, "a preview changes nothing"
    assert by_cli(stack, "up", second).counts[Op.UPDATE] == 3
    assert not engine.preview(stack.workspace).changed
    engine.up(stack.write(first))
    assert not by_cli(stack, "preview", first).changed
    assert by_cli(stack, "destroy", first).counts[Op.DELETE] >= 5
    assert engine.resources(stack.workspace) == ()
    assert stack.shelf.things() == {}


def test_what_the_cli_says_of_a_failure(pair: tuple[Stack, Stack]) -> None:
    stack, _ = pair
    program = 'a = Thing("a"); Thing("b", Opts(depends_on=[a]), fault="FAULT")'
    with pytest.raises(DeploymentError, match="was told to refuse-create"):
        by_cli(stack, "up", program.replace("FAULT", "refuse-create"))
    assert [one.name for one in engine.resources(stack.workspace)][-1] == "a"
    assert things(engine.up(stack.write(program))) == {("a", Op.SAME): 1, ("b", Op.CREATE): 1}


def test_a_state_left_with_a_killed_cli_is_taken_back(
    pair: tuple[Stack, Stack], monkeypatch: pytest.MonkeyPatch
) -> None:
    stack, _ = pair
    program = 'Thing("a")'
    with monkeypatch.context() as patched:
        # What a kill leaves: the CLI has done its work, and nobody has fetched the state.
        patched.setattr(PulumiCli, "take_back", killed)
        with pytest.raises(RuntimeError, match="killed"):
            by_cli(stack, "up", program)
    assert engine.resources(stack.workspace) == ()
    assert len(stack.shelf.things()) == 1
    assert pulumi_cli.reclaim(stack.workspace)
    assert not pulumi_cli.reclaim(stack.workspace)
    assert not engine.preview(stack.workspace).changed


def test_a_reference_to_another_stack(pair: tuple[Stack, Stack]) -> None:
    """The CLI finds its outputs, secret or not, by either form of its name."""
    stack, _ = pair
    other = replace(stack, name="other")
    engine.up(other.write('export("size", Thing("a", size=3).size); export("x", Output.secret(1))'))
    for name in ("other", "organization/demo/other"):
        program = f"""
            there = pulumi.StackReference("{name}")
            Thing("b", size=there.require_output("size"))
            export("both", [there.get_output("size"), there.get_output("x")])
            """
        result = by_cli(stack, "up", program)
        assert result.outputs == {"both": [3, 1]}
        assert result.secret_outputs == {"both"}
        planned = engine.preview(stack.write(program))
        assert {one.op for one in planned.steps} <= {Op.SAME, Op.READ}, planned.changes
    engine.up(other.write('export("size", Thing("a", size=4).size); export("x", Output.secret(1))'))
    assert by_cli(stack, "up", program).outputs == {"both": [4, 1]}


def test_a_plugin_that_is_not_there(pair: tuple[Stack, Stack]) -> None:
    stack, _ = pair
    with pytest.raises(OptionError, match="no plugin for shelf v1") as caught:
        pulumi_cli.preview(stack.write('Thing("a")'))
    assert "pulumi plugin install resource shelf v1.2.3" in caught.value.fix


def killed(cli: PulumiCli) -> None:
    raise RuntimeError("killed")


AWS = """
    import pulumi_aws.kms as kms
    import pulumi_aws.s3 as s3
    import pulumi_aws.cloudwatch as cloudwatch
    key = kms.Key("data", description="one", deletion_window_in_days=7)
    lake = s3.Bucket("lake", tags={"Project": "demo"})
    s3.BucketVersioning("lake", bucket=lake.id, versioning_configuration={"status": "Enabled"})
    logs = cloudwatch.LogGroup("logs", retention_in_days=7)
    export("bucket", lake.bucket)
    export("key", Output.secret(key.arn))
"""


def test_our_aws_provider_as_the_plugin_of_the_cli(
    pair: tuple[Stack, Stack], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through ``pulumi-resource-aws`` against the local cloud, the engines taking turns."""
    stack, _ = pair
    for name, value in cloud.environment(cloud.start(tmp_path)).items():
        monkeypatch.setenv(name, value)
    try:
        workspace = replace(stack.write(AWS), providers={"aws": AwsProvider})
        made = pulumi_cli.up(workspace)
        assert made.counts == {Op.CREATE: 6}
        assert made.secret_outputs == {"key"}
        assert not engine.preview(workspace).changed
        stack.write(AWS.replace("days=7)\n    export", "days=14)\n    export"))
        changed = engine.up(workspace)
        assert [(one.name, one.keys) for one in changed.changes] == [("logs", ("retentionInDays",))]
        assert not pulumi_cli.preview(workspace).changed
        assert pulumi_cli.destroy(workspace).counts[Op.DELETE] >= 5
        assert engine.resources(workspace) == ()
    finally:
        cloud.stop(tmp_path)
