"""What each resource option and each kind of change does, with a real program and a real (small)
provider."""

import json
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from pocket.engine import (
    Diagnostic,
    Event,
    Op,
    ResourcePre,
    ResourceState,
    Result,
    Workspace,
    destroy,
    export_state,
    import_state,
    outputs,
    preview,
    refresh,
    resources,
    up,
)
from pocket.engine.values import SECRET, SIGNATURE, is_secret
from pocket.errors import DeploymentError
from pocket_testing.shelf import ShelfProvider
from pocket_testing.stacks import Stack


def ops(result: Result) -> dict[str, list[str]]:
    """What happened to which thing, in order; unchanged ones left out."""
    found: dict[str, list[str]] = {}
    for step in result.steps:
        if step.type == "shelf:index:Thing" and step.op is not Op.SAME:
            found.setdefault(step.name, []).append(str(step.op))
    return found


def state_of(stack: Stack, name: str) -> ResourceState:
    (found,) = [one for one in resources(stack.workspace) if one.name == name]
    return found


def calls(stack: Stack) -> list[str]:
    """The provider's effects with generated suffixes cut off."""
    return [line.rsplit("-", 1)[0] for line in stack.shelf.calls()]


# --- the life of a stack -------------------------------------------------------------------------

BASIC = """
    a = Thing("a", size=1)
    group = Group("g")
    b = Thing("b", Opts(parent=group), size=a.size, links=[a.label])
    export("label", b.label)
    export("listed", [a.size, {"deep": b.serial}])
"""


def test_create_keep_change_destroy(stack: Stack) -> None:
    workspace = stack.write(BASIC)
    planned = preview(workspace)
    assert planned.counts == {Op.CREATE: 5}
    assert not stack.shelf.things()
    assert not (stack.root / ".pocket").exists()

    made = up(workspace)
    assert made.counts == {Op.CREATE: 5}
    assert made.outputs["label"].startswith("b-")
    assert made.outputs["listed"][0] == 1
    assert outputs(workspace) == made.outputs

    before = stack.workspace.store().state_path.read_bytes()
    again = up(workspace)
    assert again.counts == {Op.SAME: 5}
    assert not again.changed
    assert stack.workspace.store().state_path.read_bytes() == before

    changed = up(stack.write(BASIC.replace("size=1", "size=2")))
    assert ops(changed) == {"a": ["update"], "b": ["update"]}
    assert {step.name: step.keys for step in changed.changes} == {"a": ("size",), "b": ("size",)}
    assert changed.outputs["label"] == made.outputs["label"]

    gone = destroy(workspace)
    assert gone.counts == {Op.DELETE: 5}
    assert stack.shelf.things() == {}
    assert resources(workspace) == ()
    assert calls(stack) == ["create a", "create b", "update a", "update b", "delete b", "delete a"]


def test_preview_shows_unknowns_and_changes_nothing(stack: Stack) -> None:
    workspace = stack.write('a = Thing("a"); Thing("b", size=a.serial); export("serial", a.serial)')
    assert preview(workspace).outputs == {"serial": "[unknown]"}
    up(workspace)
    planned = preview(stack.write('a = Thing("a", name="new"); Thing("b", size=a.serial)'))
    assert ops(planned) == {
        "a": ["create-replacement", "replace", "delete-replaced"],
        "b": ["update"],
    }
    assert calls(stack) == ["create a", "create b"]


def test_a_provider_without_previews(stack: Stack) -> None:
    stack.previews = False
    workspace = stack.write(BASIC)
    assert preview(workspace).counts == {Op.CREATE: 5}
    up(workspace)
    assert preview(workspace).counts == {Op.SAME: 5}


def test_what_the_program_drops_is_deleted_dependents_first(stack: Stack) -> None:
    up(stack.write('a = Thing("a"); b = Thing("b", size=a.serial); Thing("c", size=b.serial)'))
    result = up(stack.write('Thing("d")'))
    assert ops(result) == {"d": ["create"], "c": ["delete"], "b": ["delete"], "a": ["delete"]}
    assert calls(stack)[-3:] == ["delete c", "delete b", "delete a"]


def test_state_records_what_the_cli_would(stack: Stack) -> None:
    up(stack.write(BASIC))
    b = state_of(stack, "b")
    assert b.urn == "urn:pulumi:dev::demo::demo:index:Group$shelf:index:Thing::b"
    a = state_of(stack, "a").urn
    assert b.dependencies == (a,)
    assert b.property_dependencies == {"size": (a,), "links": (a,)}
    assert b.parent == "urn:pulumi:dev::demo::demo:index:Group::g"
    assert b.inputs["name"].startswith("b-"), "what Check generated must be in the state"
    provider = state_of(stack, "default_1_2_3")
    assert b.provider == f"{provider.urn}::{provider.id}"
    assert provider.inputs == {"version": "1.2.3", "__internal": {}}
    assert b.source_position.startswith("project:///__main__.py#")
    assert b.created
    assert b.created == b.modified


def test_independent_resources_are_created_at_once(stack: Stack) -> None:
    from pocket_testing.shelf import Slow

    provider = Slow(stack.shelf)
    workspace = stack.write("[Thing(f't{i}') for i in range(4)]")
    up(Workspace(workspace.root, "dev", workspace.program, {"shelf": lambda: provider}, parallel=4))
    assert provider.most >= 2


# --- replacement ---------------------------------------------------------------------------------


def test_replace_creates_first(stack: Stack) -> None:
    up(stack.write('a = Thing("a", name="one"); Thing("b", links=[a.label])'))
    result = up(stack.write('a = Thing("a", name="two"); Thing("b", links=[a.label])'))
    assert ops(result) == {
        "a": ["create-replacement", "replace", "delete-replaced"],
        "b": ["update"],
    }
    assert result.counts[Op.REPLACE] == 1
    assert stack.shelf.calls()[2:] == ["create two", stack.shelf.calls()[3], "delete one"]
    assert state_of(stack, "a").id == "id-two"


def test_delete_before_replace_takes_only_the_dependents_that_must_go(stack: Stack) -> None:
    program = """
        a = Thing("a", kind="{}")
        b = Thing("b", kind=a.label)
        c = Thing("c", links=[a.label])
        Thing("d", links=[b.label])
    """
    up(stack.write(program.format("round")))
    result = up(stack.write(program.format("square")))
    assert ops(result) == {
        "b": ["delete-replaced", "replace", "create-replacement"],
        "a": ["delete-replaced", "replace", "create-replacement"],
        "c": ["update"],
        "d": ["update"],
    }
    assert calls(stack)[4:7] == ["delete b", "delete a", "create a"]  # then b and c at once
    assert len(stack.shelf.things()) == 4


def test_delete_before_replace_as_an_option_either_way(stack: Stack) -> None:
    up(stack.write('Thing("a", Opts(delete_before_replace=True), name="one")'))
    up(stack.write('Thing("a", Opts(delete_before_replace=True), name="two")'))
    assert stack.shelf.calls() == ["create one", "delete one", "create two"]
    # The provider would delete first; the program says otherwise, and the name is taken.
    with pytest.raises(DeploymentError, match="two exists"):
        up(stack.write('Thing("a", Opts(delete_before_replace=False), name="two", kind="x")'))


def test_replace_on_changes(stack: Stack) -> None:
    up(stack.write('Thing("a", Opts(replace_on_changes=["size"]), size=1)'))
    result = up(stack.write('Thing("a", Opts(replace_on_changes=["size"]), size=2)'))
    assert ops(result) == {"a": ["create-replacement", "replace", "delete-replaced"]}
    assert len(stack.shelf.things()) == 1


def test_replacement_trigger_and_replace_with(stack: Stack) -> None:
    program = """
        a = Thing("a", Opts(replacement_trigger={}))
        Thing("b", Opts(replace_with=[a]))
    """
    up(stack.write(program.format(1)))
    assert not up(stack.write(program.format(1))).changed
    result = up(stack.write(program.format(2)))
    assert list(ops(result)) == ["a", "b"]
    assert result.counts[Op.REPLACE] == 2
    assert len(stack.shelf.things()) == 2


def test_a_generated_name_does_not_go_to_the_replacement(stack: Stack) -> None:
    up(stack.write('Thing("a", Opts(replace_on_changes=["size"]), size=1)'))
    first = state_of(stack, "a").inputs["name"]
    up(stack.write('Thing("a", Opts(replace_on_changes=["size"]), size=2)'))
    assert state_of(stack, "a").inputs["name"] != first


# --- options -------------------------------------------------------------------------------------


def test_ignore_changes(stack: Stack) -> None:
    program = 'Thing("a", Opts(ignore_changes=["size", "tags.owner"]), size={}, tags={})'
    up(stack.write(program.format(1, {"owner": "x", "team": "p"})))
    assert not up(stack.write(program.format(2, {"owner": "y", "team": "p"}))).changed
    assert state_of(stack, "a").inputs["size"] == 1
    assert up(stack.write(program.format(3, {"owner": "z", "team": "q"}))).changed
    assert state_of(stack, "a").inputs["tags"] == {"owner": "x", "team": "q"}


def test_protect(stack: Stack) -> None:
    up(stack.write('Thing("a", Opts(protect=True), name="one"); Thing("b")'))
    with pytest.raises(DeploymentError, match="protected"):
        up(stack.write('Thing("a", Opts(protect=True), name="two"); Thing("b")'))
    with pytest.raises(DeploymentError, match="protected"):
        preview(stack.write('Thing("b")'))
    with pytest.raises(DeploymentError, match="protected"):
        up(stack.write(""))
    with pytest.raises(DeploymentError, match="protected"):
        destroy(stack.workspace)
    assert len(stack.shelf.things()) == 2
    up(stack.write('Thing("a", name="one"); Thing("b")'))
    destroy(stack.workspace)
    assert not stack.shelf.things()


def test_retain_on_delete_and_deleted_with(stack: Stack) -> None:
    up(
        stack.write("""
            a = Thing("a")
            Thing("kept", Opts(retain_on_delete=True))
            Thing("inside", Opts(deleted_with=a))
        """)
    )
    destroy(stack.workspace)
    assert [line for line in calls(stack) if line.startswith("delete")] == ["delete a"]
    assert resources(stack.workspace) == ()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('Thing("old")', 'Thing("new", Opts(aliases=[pulumi.Alias(name="old")]))'),
        (
            'Thing("x")',
            (
                "top = pulumi.Alias(parent=pulumi.ROOT_STACK_RESOURCE);"
                'Thing("x", Opts(parent=Group("g"), aliases=[top]))'
            ),
        ),
        (
            'Thing("old")',
            'Thing("new", Opts(aliases=["urn:pulumi:dev::demo::shelf:index:Thing::old"]))',
        ),
        (
            'g = Group("g"); Thing("g-x", Opts(parent=g))',
            'g = Group("h", Opts(aliases=[pulumi.Alias(name="g")])); Thing("h-x", Opts(parent=g))',
        ),
        (
            'g = Group("g", kind="demo:index:Old"); Thing("x", Opts(parent=g))',
            (
                'before = pulumi.Alias(type_="demo:index:Old");'
                'g = Group("g", Opts(aliases=[before])); Thing("x", Opts(parent=g))'
            ),
        ),
    ],
)
def test_aliases_keep_the_resource(stack: Stack, before: str, after: str) -> None:
    up(stack.write(before))
    result = up(stack.write(after))
    assert not ops(result)
    assert len(stack.shelf.calls()) == 1
    assert not up(stack.workspace).changed


def test_a_renamed_dependency_is_renamed_where_it_is_referred_to(stack: Stack) -> None:
    up(stack.write('a = Thing("a"); Thing("b", links=[a.label], fault="refuse-update")'))
    with pytest.raises(DeploymentError):
        up(
            stack.write("""
                a = Thing("z", Opts(aliases=[pulumi.Alias(name="a")]))
                Thing("b", Opts(depends_on=[a]), links=[a.label], size=9, fault="refuse-update")
            """)
        )
    (b,) = [one for one in resources(stack.workspace) if one.name == "b"]
    assert b.dependencies == ("urn:pulumi:dev::demo::shelf:index:Thing::z",)


def test_additional_secret_outputs_and_timeouts(stack: Stack) -> None:
    up(
        stack.write("""
            Thing("a", Opts(additional_secret_outputs=["label"],
                            custom_timeouts=pulumi.CustomTimeouts(create="1h30m", delete="20s"),
                            hide_diffs=["tags"]))
        """)
    )
    a = state_of(stack, "a")
    assert is_secret(a.outputs["label"])
    assert a.custom_timeouts == {"create": 5400.0, "delete": 20.0}
    assert a.hide_diff == ("tags",)


def test_transformations(stack: Stack) -> None:
    up(
        stack.write("""
            def grow(args):
                if args.type_ == "shelf:index:Thing":
                    return pulumi.ResourceTransformationResult({**args.props, "size": 7}, args.opts)
            pulumi.runtime.register_stack_transformation(grow)
            Thing("a", size=1)
        """)
    )
    assert state_of(stack, "a").inputs["size"] == 7


def test_depends_on_a_component_waits_for_its_children(stack: Stack) -> None:
    up(
        stack.write("""
            g = Group("g")
            Thing("inner", Opts(parent=g))
            Thing("outer", Opts(depends_on=[g]))
        """)
    )
    inner = "urn:pulumi:dev::demo::demo:index:Group$shelf:index:Thing::inner"
    assert inner in state_of(stack, "outer").dependencies
    assert calls(stack) == ["create inner", "create outer"]


# --- providers -----------------------------------------------------------------------------------


def test_explicit_and_default_providers_get_their_configuration(stack: Stack) -> None:
    program = """
        north = Provider("north", region="north", version="1")
        Thing("a", Opts(provider=north))
        Thing("b")
        g = Group("g", Opts(providers=[north]))
        Thing("c", Opts(parent=g))
    """
    up(stack.write(program, config="{'shelf:region': south}"))
    regions = {one["urn"][-1]: one["config"]["region"] for one in stack.shelf.things().values()}
    assert regions == {"a": "north", "b": "south", "c": "north"}
    assert not up(stack.workspace).changed


def test_another_region_replaces_what_the_provider_holds(stack: Stack) -> None:
    program = 'p = Provider("p", region="{}"); Thing("a", Opts(provider=p))'
    up(stack.write(program.format("north")))
    result = up(stack.write(program.format("south")))
    assert ops(result)["a"][0].endswith(("create-replacement", "delete-replaced"))
    assert [one["config"]["region"] for one in stack.shelf.things().values()] == ["south"]


def test_a_package_without_a_provider_is_refused_by_name(stack: Stack) -> None:
    workspace = stack.write('pulumi.CustomResource("other:index:Thing", "a", {})')
    with pytest.raises(DeploymentError, match="no provider for the package 'other'"):
        preview(workspace)


def test_check_failures_are_all_named(stack: Stack) -> None:
    with pytest.raises(DeploymentError, match="size: is negative"):
        preview(stack.write('Thing("a", size=-1)'))


def test_invoke(stack: Stack) -> None:
    program = """
        Thing("a", size=3)
        found = pulumi.runtime.invoke("shelf:index:find", {"size": 3}).value
        export("found", len(found["ids"]))
    """
    workspace = stack.write(program)
    assert up(workspace).outputs == {"found": 0}
    assert up(workspace).outputs == {"found": 1}


# --- secrets -------------------------------------------------------------------------------------


@pytest.mark.parametrize("takes_secrets", [True, False])
def test_secrets_are_encrypted_at_rest_each_for_itself(stack: Stack, takes_secrets: bool) -> None:
    stack.takes_secrets = takes_secrets
    workspace = stack.write("""
        hush = Output.secret("hush-hush")
        a = Thing("a", password=hush, tags={"deep": hush})
        export("password", a.password)
    """)
    result = up(workspace)
    assert result.outputs == {"password": "hush-hush"}
    assert result.secret_outputs == {"password"}
    text = workspace.store().state_path.read_text()
    assert "hush-hush" not in text
    assert "hush-hush" not in json.dumps(export_state(workspace))
    sealed = list(ciphertexts(json.loads(text)))
    assert len(sealed) >= 4
    assert len(set(sealed)) == len(sealed)
    assert not up(workspace).changed
    assert workspace.store().state_path.read_text() == text


def ciphertexts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if value.get(SIGNATURE) == SECRET:
            yield value["ciphertext"]
        for inner in value.values():
            yield from ciphertexts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from ciphertexts(inner)


def test_no_secret_reaches_the_journal_in_the_clear(stack: Stack) -> None:
    workspace = stack.write('Thing("a", password=Output.secret("hush"), fault="lose-create")')
    journals = []

    def look(event: Event) -> None:
        if workspace.store().journal_path.exists():
            journals.append(workspace.store().journal_path.read_text())

    with pytest.raises(DeploymentError):
        up(workspace, on_event=look)
    assert journals
    assert "hush" not in "".join(journals)
    assert "hush" not in workspace.store().state_path.read_text()


def test_a_wrong_passphrase_is_refused(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    up(stack.write('Thing("a", password=Output.secret("x"))'))
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "wrong")
    with pytest.raises(DeploymentError, match="passphrase"):
        up(stack.workspace)


# --- reads, references, refresh ------------------------------------------------------------------


def test_get_reads_and_never_deletes(stack: Stack) -> None:
    up(stack.write('Thing("a", name="there", size=4)'))
    other = Stack(stack.root, "other")
    other.write("""
        found = Thing("mine", Opts(id="id-there"))
        export("size", found.size)
        export("id", found.id)
    """)
    assert preview(other.workspace).outputs == {"size": 4, "id": "id-there"}
    assert up(other.workspace).outputs["size"] == 4
    assert state_of(other, "mine").external
    assert up(other.workspace).counts[Op.READ] == 1
    destroy(other.workspace)
    assert list(stack.shelf.things()) == ["id-there"]
    with pytest.raises(DeploymentError, match="there is no shelf:index:Thing"):
        up(other.write('Thing("mine", Opts(id="id-nowhere"))'))


def test_stack_references(stack: Stack) -> None:
    up(stack.write('export("a", 1); export("s", Output.secret("hush"))'))
    other = Stack(stack.root, "other")
    other.write("""
        first = pulumi.StackReference("organization/demo/dev")
        export("a", first.get_output("a"))
        export("s", first.get_output("s"))
    """)
    result = up(other.workspace)
    assert result.outputs == {"a": 1, "s": "hush"}
    assert "s" in result.secret_outputs
    with pytest.raises(DeploymentError, match="no state here"):
        up(other.write('pulumi.StackReference("nowhere")'))


def test_refresh_sees_drift_and_loss(stack: Stack) -> None:
    workspace = stack.write('a = Thing("a", size=1); Thing("b", size=2); Thing("c", size=a.size)')
    up(workspace)
    drifted, lost = state_of(stack, "b").id, state_of(stack, "a").id
    thing = stack.shelf.get(drifted)
    assert thing is not None
    thing["inputs"]["size"] = 99
    stack.shelf.put(thing)
    stack.shelf.remove(lost)

    result = refresh(workspace)
    assert ops(result) == {"a": ["delete"], "b": ["update"]}
    assert state_of(stack, "b").outputs["size"] == 99
    assert state_of(stack, "c").dependencies == ()
    mended = up(workspace)
    assert ops(mended) == {"a": ["create"], "b": ["update"]}
    assert not up(workspace, refresh=True).changed


def test_a_refresh_that_fails_half_way_leaves_a_whole_state(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = stack.write('a = Thing("a"); b = Thing("b", Opts(depends_on=[a]))')
    up(workspace)
    stack.shelf.remove(state_of(stack, "a").id)
    read, gone = ShelfProvider.Read, threading.Event()

    def refuses_b(self: ShelfProvider, request: Any, context: Any) -> Any:
        if request.urn.endswith("::b"):
            assert gone.wait(10)
            context.abort(grpc.StatusCode.UNAVAILABLE, "nobody answers")
        answer = read(self, request, context)
        gone.set()
        return answer

    with monkeypatch.context() as patched:
        patched.setattr(ShelfProvider, "Read", refuses_b)
        with pytest.raises(DeploymentError, match="nobody answers"):
            refresh(workspace)
    assert state_of(stack, "b").dependencies == ()
    assert ops(up(workspace)) == {"a": ["create"]}
    assert not refresh(workspace).changed


def test_an_interrupted_update_is_looked_for_in_the_words_it_was_asked_for(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    up(stack.write('Thing("a", links=[])'))
    with pytest.raises(DeploymentError, match="lose-update"):
        up(stack.write('Thing("a", links=["x"], fault="lose-update")'))
    read = ShelfProvider.Read

    def wordy(self: ShelfProvider, request: Any, context: Any) -> Any:
        """Says more of each link than was asked, where the inputs do not say how."""
        answer = read(self, request, context)
        if "links" in request.inputs and not list(request.inputs["links"]):
            answer.inputs["links"] = [f"{one} (a link)" for one in answer.inputs["links"]]
        return answer

    with monkeypatch.context() as patched:
        patched.setattr(ShelfProvider, "Read", wordy)
        assert not up(stack.write('Thing("a", links=["x"], fault="lose-update")')).changed


# --- failures ------------------------------------------------------------------------------------


def test_a_failure_saves_what_was_done(stack: Stack) -> None:
    program = 'a = Thing("a"); Thing("b", Opts(depends_on=[a]), fault="{}"); export("x", a.label)'
    with pytest.raises(DeploymentError, match="refuse-create") as caught:
        up(stack.write(program.format("refuse-create")))
    assert caught.value.where.endswith("::b")
    assert state_of(stack, "a").id in stack.shelf.things()
    result = up(stack.write(program.format("none")))
    assert ops(result) == {"b": ["create"]}


@pytest.mark.parametrize("fault", ["lose-create", "lose-update"])
def test_a_lost_answer_is_found_again(stack: Stack, fault: str) -> None:
    up(stack.write('Thing("before", size=1)'))
    with pytest.raises(DeploymentError, match=fault):
        up(stack.write(f'Thing("before", size=2, fault="{fault}"); Thing("a", fault="{fault}")'))
    program = 'Thing("before", size=2); Thing("a")'
    for _ in range(2):
        result = up(stack.write(program))
    assert not result.changed
    states = sorted(one.id for one in resources(stack.workspace) if one.id.startswith("id-"))
    assert states == sorted(stack.shelf.things())
    assert len(states) == 2


def test_a_failed_deletion_is_tried_again(stack: Stack) -> None:
    up(stack.write('Thing("a", fault="refuse-delete")'))
    with pytest.raises(DeploymentError, match="refuse-delete"):
        destroy(stack.workspace)
    assert len(resources(stack.workspace)) == 3
    up(stack.write('Thing("a", fault="none")'))
    destroy(stack.workspace)
    assert not stack.shelf.things()


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ('Thing("a"); raise RuntimeError("broken")', "RuntimeError: broken"),
        ('Thing("a"); pulumi.log.error("logged")', "logged"),
        ('raise pulumi.RunError("told")', "told"),
        ('Thing("a").label.apply(lambda label: 1 / 0)', "division by zero"),
        ('Thing("a"); Thing("a")', "two resources"),
        ('Thing("a", Opts(import_="id-1"))', "import_"),
        ('pulumi.ComponentResource("demo:index:Far", "far", {}, None, True)', "remote components"),
        ("import no_such_module", "no_such_module"),
        ("x = =", "SyntaxError"),
    ],
)
def test_a_broken_program_says_what_and_where(stack: Stack, program: str, message: str) -> None:
    with pytest.raises(DeploymentError, match=message) as caught:
        up(stack.write(program))
    assert caught.value.where
    assert sorted(stack.shelf.things()) == sorted(
        one.id for one in resources(stack.workspace) if one.type == "shelf:index:Thing"
    )


@pytest.fixture
def takes_interrupts() -> Iterator[None]:
    """As at a prompt: what runs in a shell's background ignores SIGINT, and so would Python."""
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, former)


@pytest.mark.usefixtures("takes_interrupts")
def test_an_interrupt_lets_what_has_begun_end(stack: Stack) -> None:
    workspace = stack.write(
        'a = Thing("a"); b = Thing("b", size=a.serial); Thing("c", size=b.serial)'
    )

    def listen(event: Event) -> None:
        if isinstance(event, ResourcePre) and event.step.name == "b":
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    with pytest.raises(DeploymentError, match="interrupted"):
        up(workspace, on_event=listen)
    made = {one.id for one in resources(workspace) if one.type == "shelf:index:Thing"}
    assert made == set(stack.shelf.things())
    # How many were begun when the signal came is the machine's affair; the rest comes now.
    assert up(workspace).counts.get(Op.CREATE, 0) == 3 - len(made)
    assert len(stack.shelf.things()) == 3


def test_runs_do_not_leak_into_each_other(stack: Stack) -> None:
    stack.write('import helper; export("value", helper.VALUE)')
    (stack.root / "helper.py").write_text("VALUE = 1")
    assert up(stack.workspace).outputs == {"value": 1}
    (stack.root / "helper.py").write_text("VALUE = 22")
    assert up(stack.workspace).outputs == {"value": 22}
    import pulumi

    assert pulumi.runtime.get_root_resource() is None
    assert up(stack.write("")).outputs == {}


# --- files ---------------------------------------------------------------------------------------


def test_export_and_import_move_a_stack(stack: Stack, tmp_path: Path) -> None:
    up(stack.write(BASIC + '\n    Thing("s", password=Output.secret("hush"))'))
    document = export_state(stack.workspace)
    stack.workspace.store().state_path.unlink()
    import_state(stack.workspace, document)
    assert not up(stack.workspace).changed
    other = Stack(tmp_path / "elsewhere", "other")
    with pytest.raises(DeploymentError, match="the state is of the stack dev"):
        import_state(other.write(BASIC), document)
    broken = json.loads(json.dumps(document))
    del broken["deployment"]["resources"][0]
    with pytest.raises(DeploymentError, match="broken"):
        import_state(stack.workspace, broken)


def test_the_lock_keeps_others_out_and_is_taken_over(stack: Stack) -> None:
    workspace = stack.write('Thing("a")')
    with (
        workspace.store().locked(print),
        pytest.raises(DeploymentError, match="another run holds the stack"),
    ):
        up(workspace)
    (workspace.store().directory / "lock").write_text("999999")
    told: list[str] = []

    def listen(event: Event) -> None:
        if isinstance(event, Diagnostic) and event.severity == "warning":
            told.append(event.message)

    up(workspace, on_event=listen)
    assert any("999999 died" in message for message in told)


def test_former_states_are_kept(stack: Stack) -> None:
    for size in range(3):
        up(stack.write(f'Thing("a", size={size})'))
    assert len(list((stack.workspace.store().directory / "history").glob("*.json"))) == 2
    assert stack.workspace.store().state_path.stat().st_mode & 0o777 == 0o600
