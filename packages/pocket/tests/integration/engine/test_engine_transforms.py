"""Transforms: the SDK serves them from the program, and the engine calls them in Pulumi's order."""

from __future__ import annotations

import pytest

from pocket.engine import ResourceState, outputs, preview, resources, up
from pocket.engine.values import is_secret, reveal
from pocket.errors import DeploymentError
from pocket_testing.stacks import Stack

MARK = """
    def mark(letter):
        def transform(args):
            if args.custom and args.type_ == "shelf:index:Thing":
                trail = args.props.get("kind") or ""
                props = {**args.props, "kind": trail + letter}
                return pulumi.ResourceTransformResult(props, args.opts)
        return transform
"""


def state_of(stack: Stack, name: str) -> ResourceState:
    (found,) = [one for one in resources(stack.workspace) if one.name == name]
    return found


def test_own_then_parents_then_the_stacks(stack: Stack) -> None:
    program = f"""{MARK}
    pulumi.runtime.register_resource_transform(mark("s"))
    outer = Group("outer", Opts(transforms=[mark("o")]))
    inner = Group("inner", Opts(parent=outer, transforms=[mark("i"), mark("j")]))
    Thing("deep", Opts(parent=inner, transforms=[mark("1"), mark("2")]), kind="")
    Thing("shallow", Opts(parent=outer), kind="")
    Thing("alone", kind="")
    """
    up(stack.write(program))
    trails = {name: state_of(stack, name).inputs["kind"] for name in ("deep", "shallow", "alone")}
    assert trails == {"deep": "12ijos", "shallow": "os", "alone": "s"}
    assert not up(stack.workspace).changed


def test_a_transform_changes_options(stack: Stack) -> None:
    program = """
    def change(args):
        if args.name != "a":
            return None
        opts = Opts.merge(args.opts, Opts(
            protect=True, retain_on_delete=True, ignore_changes=["size"],
            custom_timeouts=pulumi.CustomTimeouts(create="5m"), depends_on=[first],
            additional_secret_outputs=["label"], aliases=[pulumi.Alias(name="former")],
        ))
        return pulumi.ResourceTransformResult(args.props, opts)
    {}
    first = Thing("first")
    Thing({}, Opts({}), size=1)
    """
    up(stack.write(program.format("", '"former"', "")))
    before = state_of(stack, "former")
    up(stack.write(program.format("", '"a"', "transforms=[change]")))
    after = state_of(stack, "a")
    assert after.id == before.id, "the alias was heeded"
    assert after.protect
    assert after.retain_on_delete
    assert after.ignore_changes == ("size",)
    assert after.custom_timeouts == {"create": 300}
    assert after.dependencies == (state_of(stack, "first").urn,)
    assert after.additional_secret_outputs == ("label",)


def test_dependencies_secrets_and_unknowns_come_through(stack: Stack) -> None:
    program = """
    seen = {}
    def look(args):
        if args.name == "b":
            seen["kinds"] = sorted(
                key for key, value in args.props.items() if isinstance(value, Output)
            )
    pulumi.runtime.register_resource_transform(look)
    a = Thing("a")
    b = Thing(
        "b", Opts(transforms=[lambda args: None]),
        size=a.serial, password=Output.secret("hunter2"), links=[a.label],
    )
    export("seen", b.label.apply(lambda _: seen["kinds"]))
    """
    plan = preview(stack.write(program))
    assert [str(step.op) for step in plan.steps if step.name == "b"] == ["create"]
    up(stack.workspace)
    a, b = state_of(stack, "a"), state_of(stack, "b")
    assert outputs(stack.workspace)["seen"] == ["links", "password", "size"]
    assert is_secret(b.inputs["password"])
    assert reveal(b.inputs["password"]) == "hunter2"
    assert b.property_dependencies["size"] == b.property_dependencies["links"] == (a.urn,)
    assert b.property_dependencies["password"] == ()
    assert b.dependencies == (a.urn,)
    assert not up(stack.workspace).changed


def test_a_transform_of_the_stack_keeps_dependencies(stack: Stack) -> None:
    program = """
    def bigger(args):
        return pulumi.ResourceTransformResult({**args.props, "tag": "seen"}, args.opts)
    pulumi.runtime.register_resource_transform(bigger)
    a = Thing("a")
    Thing("b", links=[a.label])
    """
    up(stack.write(program))
    b = state_of(stack, "b")
    assert b.inputs["tag"] == "seen"
    assert b.dependencies == b.property_dependencies["links"] == (state_of(stack, "a").urn,)


def test_a_transform_may_wait(stack: Stack) -> None:
    program = """
    import asyncio
    async def slowly(args):
        await asyncio.sleep(0)
        return pulumi.ResourceTransformResult({**args.props, "size": 9}, args.opts)
    Thing("a", Opts(transforms=[slowly]), size=1)
    """
    up(stack.write(program))
    assert state_of(stack, "a").inputs["size"] == 9


def test_calls_of_functions_are_transformed(stack: Stack) -> None:
    program = """
    def other(args):
        assert args.token == "shelf:index:find", args.token
        return pulumi.InvokeTransformResult({"size": args.args["size"] + 1}, args.opts)
    pulumi.runtime.register_invoke_transform(other)
    a = Thing("a", size=3)
    found = a.size.apply(lambda _: pulumi.runtime.invoke("shelf:index:find", {"size": 2}).value)
    export("found", found)
    """
    up(stack.write(program))
    assert outputs(stack.workspace)["found"]["ids"] == [state_of(stack, "a").id]


def test_a_broken_transform_says_so(stack: Stack) -> None:
    program = """
    def broken(args):
        raise ValueError("no such size")
    Thing("a", Opts(transforms=[broken]))
    """
    with pytest.raises(DeploymentError, match=r"a transform failed: .*no such size") as caught:
        up(stack.write(program))
    assert caught.value.where.endswith("::a")
    assert not stack.shelf.things()
