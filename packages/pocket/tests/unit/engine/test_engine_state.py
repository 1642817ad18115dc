"""State, secrets, journal and configuration: what is on the disk is what was meant, and nothing
leaks."""

import hashlib
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pocket.engine import refuse, secrets, state, urns
from pocket.engine.config import load_config, load_project
from pocket.engine.journal import JournalFile, Snapshot, in_order, read_journal
from pocket.engine.secrets import Crypter
from pocket.engine.state import Deployment, Operation, ResourceState
from pocket.engine.values import secret
from pocket.errors import DeploymentError

# From Pulumi's own tests of its passphrase provider (pkg/secrets/passphrase): made by their code.
PULUMI_SALT = "v1:fozI5u6B030=:v1:F+6ZduKKd8G0/V7L:PGMFeIzwobWRKmEAzUdaQHqC5mMRIQ=="
PULUMI_PASSPHRASE = "password"

STACK = "urn:pulumi:dev::demo::pulumi:pulumi:Stack::demo-dev"
PREFIX = "urn:pulumi:dev::demo::shelf:index:Thing::"


def crypter() -> Crypter:
    return Crypter(PULUMI_PASSPHRASE, PULUMI_SALT)


def thing(name: str, *needs: str, **fields: object) -> ResourceState:
    urns = tuple(PREFIX + one for one in needs)
    given_fields = {"id": name, "dependencies": urns, **fields}
    return ResourceState(PREFIX + name, "shelf:index:Thing", True, **given_fields)  # type: ignore


def test_what_pulumi_encrypted_is_read() -> None:
    key = crypter().key()
    assert secrets.unseal(PULUMI_SALT.split(":", 2)[2], key) == "pulumi"
    with pytest.raises(DeploymentError, match="not this stack's"):
        Crypter("password123", PULUMI_SALT).key()


def test_equal_secrets_do_not_show_and_unchanged_ones_do_not_churn() -> None:
    one = crypter()
    first, second = one.encrypt("x", "here"), one.encrypt("x", "there")
    assert first != second
    assert one.encrypt("x", "here") == first
    other = crypter()
    assert other.decrypt(first, "here") == "x"
    assert other.encrypt("x", "here") == first
    assert other.encrypt("y", "here") != first


def test_without_a_passphrase_the_first_secret_fails() -> None:
    with pytest.raises(DeploymentError, match="no passphrase"):
        Crypter(None).encrypt("x", "here")


def test_the_passphrase_file_is_made_once_and_is_private(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PULUMI_CONFIG_PASSPHRASE", raising=False)
    monkeypatch.delenv("PULUMI_CONFIG_PASSPHRASE_FILE", raising=False)
    file = tmp_path / "deep" / "passphrase"
    assert secrets.find_passphrase(file, create=False) is None
    made = secrets.find_passphrase(file, create=True)
    assert made == secrets.find_passphrase(file, create=True)
    assert file.stat().st_mode & 0o777 == 0o600
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "given")
    assert secrets.find_passphrase(file, create=True) == "given"


def test_a_deployment_survives_the_round_trip() -> None:
    resources = (
        ResourceState(STACK, "pulumi:pulumi:Stack", outputs={"x": secret([1, {"y": None}])}),
        thing(
            "a",
            inputs={"size": 1.5, "password": secret("hush")},
            protect=True,
            hide_diff=("tags",),
            custom_timeouts={"create": 60},
            property_dependencies={"size": ()},
            stack_trace=({"sourcePosition": "project:///x.py#1"},),
        ),
        thing("b", "a", parent=STACK, init_errors=("slow",), replacement_trigger=secret(1)),
        thing("a", delete=True, id="old"),
    )
    pending = (Operation("creating", thing("c", id="")),)
    document = state.dump(Deployment(resources, pending), crypter())
    text = json.dumps(document)
    assert "hush" not in text
    assert state.load(json.loads(text), crypter()) == Deployment(resources, pending)


def test_the_document_is_what_the_cli_accepts() -> None:
    document = state.dump(Deployment((thing("a", inputs={"p": secret(1)}),)), crypter())
    deployment = document["deployment"]
    manifest = deployment["manifest"]
    assert document["version"] == 3
    assert manifest["magic"] == hashlib.sha256(manifest["version"].encode()).hexdigest()
    provider = {"type": "passphrase", "state": {"salt": PULUMI_SALT}}
    assert deployment["secrets_providers"] == provider
    assert set(deployment["resources"][0]) == {"urn", "custom", "id", "type", "inputs"}
    sealed = deployment["resources"][0]["inputs"]["p"]
    assert sealed["4dabf18193072939515e22adb298388d"] == "1b47061264138c4ac30d75fd1eb44270"
    assert sealed["ciphertext"].startswith("v1:")


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"version": 5, "deployment": {}}, "version 5"),
        ({"version": 4, "features": ["byteString"], "deployment": {}}, "have: byteString"),
        ({"version": 3}, "not a deployment"),
        (
            {"version": 3, "deployment": {"resources": [{"urn": "u", "novel": 1}]}},
            "does not know: novel",
        ),
        (
            {
                "version": 3,
                "deployment": {
                    "resources": [
                        {"urn": PREFIX + "a", "type": "t", "custom": True, "id": "1", "parent": "p"}
                    ]
                },
            },
            "comes before, or without, p",
        ),
        (
            {
                "version": 3,
                "deployment": {"resources": [{"urn": PREFIX + "a", "type": "t", "custom": True}]},
            },
            "has no id",
        ),
    ],
)
def test_a_broken_state_is_refused(document: dict[str, object], message: str) -> None:
    with pytest.raises(DeploymentError, match=message):
        state.load(document, crypter())


def test_another_secrets_provider_is_refused_by_name() -> None:
    with pytest.raises(DeploymentError, match="awskms"):
        secrets.read_salt({"type": "awskms", "state": {}}, where="state.json")


# --- journal -------------------------------------------------------------------------------------


def test_a_journal_replays_to_what_was_done(tmp_path: Path) -> None:
    base = Deployment((thing("a"), thing("b", "a")))
    path = tmp_path / "journal"
    live = Snapshot(base, JournalFile(path, "digest"), crypter())
    operation = live.begin("creating", thing("c", id=""))
    live.commit(operation, add=thing("c"), put={0: thing("a", delete=True)}, drop=[1])
    live.begin("deleting", thing("a"))
    again = Snapshot(base, None, crypter())
    again.replay(read_journal(path, "digest"))
    assert again.deployment() == live.deployment()
    assert [one.name for one in live.deployment().resources] == ["c", "a"]
    assert [one.kind for one in live.deployment().pending] == ["deleting"]
    assert read_journal(path, "another checkpoint") == []


def test_a_torn_last_line_never_happened(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    live = Snapshot(Deployment(), JournalFile(path, "digest"), crypter())
    live.begin("creating", thing("a", id=""))
    whole = path.read_text()
    live.begin("creating", thing("b", id=""))
    text = path.read_text()
    for cut in range(len(whole), len(text)):
        path.write_text(text[:cut])
        assert len(read_journal(path, "digest")) == 1


def test_a_salt_made_on_the_way_is_in_the_journal(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    fresh = Crypter(PULUMI_PASSPHRASE)
    live = Snapshot(Deployment(), JournalFile(path, "digest"), fresh)
    live.begin("creating", thing("a", id="", inputs={"p": secret("hush")}))
    records = read_journal(path, "digest")
    assert records[0] == {"salt": fresh.salt}
    assert "hush" not in path.read_text()


def test_an_operation_is_on_the_disk_before_it_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(descriptor))
    live = Snapshot(Deployment(), JournalFile(tmp_path / "journal", "digest"), crypter())
    operation = live.begin("creating", thing("a", id=""))
    assert len(synced) == 1
    live.commit(operation, add=thing("a"))
    assert len(synced) == 1, "a step costs one fsync"


@st.composite
def shuffled(draw: st.DrawFn) -> tuple[ResourceState, ...]:
    size = draw(st.integers(1, 9))
    states = [
        thing(str(at), *(str(other) for other in range(at) if draw(st.booleans())))
        for at in range(size)
    ]
    return tuple(draw(st.permutations(states)))


@given(shuffled())
def test_any_half_done_run_is_saved_in_a_valid_order(states: tuple[ResourceState, ...]) -> None:
    ordered = in_order(states)
    assert sorted(one.urn for one in ordered) == sorted(one.urn for one in states)
    state.verify(Deployment(tuple(ordered)))
    assert in_order(tuple(ordered)) == ordered


# --- configuration -------------------------------------------------------------------------------


def write(directory: Path, project: str, stack: str) -> Path:
    (directory / "Pulumi.yaml").write_text(project)
    (directory / "Pulumi.dev.yaml").write_text(stack)
    return directory


def test_configuration_as_the_cli_reads_it(tmp_path: Path) -> None:
    sealed = crypter().encrypt("hush", "anywhere")
    write(
        tmp_path,
        "name: demo\nruntime: {name: python}\nconfig:\n  size: {type: integer, default: 3}\n"
        "  plain: here\n  'aws:region': {value: eu-north-1}\n",
        f"encryptionsalt: {PULUMI_SALT}\nconfig:\n  demo:on: true\n  demo:n: 1.5\n  plain: there\n"
        f"  demo:object: {{a: [1, {{secure: '{sealed}'}}]}}\n"
        f"  aws:secretKey: {{secure: '{sealed}'}}\n"
        "  demo:none: null\n",
    )
    config = load_config(load_project(tmp_path), "dev", crypter())
    assert config.values == {
        "demo:size": "3",
        "demo:plain": "there",
        "aws:region": "eu-north-1",
        "demo:on": "true",
        "demo:n": "1.5",
        "demo:object": '{"a":[1,"hush"]}',
        "aws:secretKey": "hush",
        "demo:none": "",
    }
    assert config.secret_keys == {"demo:object", "aws:secretKey"}
    assert config.of_package("aws") == {"region": "eu-north-1", "secretKey": secret("hush")}


@pytest.mark.parametrize(
    ("project", "message"),
    [
        ("runtime: python", "no name"),
        ("name: demo\nruntime: nodejs", "nodejs"),
        ("name: demo\nbackend: {url: 's3://state'}", "cloud backend"),
        ("[1]", "mapping"),
        ("name: [", "not YAML"),
    ],
)
def test_a_project_that_cannot_be_run_is_refused(
    tmp_path: Path, project: str, message: str
) -> None:
    with pytest.raises(DeploymentError, match=message):
        load_project(write(tmp_path, project, "{}"))


@pytest.mark.parametrize("option", ["target", "exclude", "policy_pack", "backend"])
def test_options_of_the_cli_are_refused_by_name(option: str) -> None:
    refuse(**{option: ()})
    with pytest.raises(DeploymentError, match="not supported by the embedded engine"):
        refuse(**{option: ["it"]})


def test_a_program_without_a_project_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DeploymentError, match=r"no Pulumi\.yaml"):
        load_project(tmp_path)


def test_main_and_a_project_above(tmp_path: Path) -> None:
    write(tmp_path, "name: demo\nmain: infra/\n", "{}")
    (tmp_path / "infra").mkdir()
    assert load_project(tmp_path).main == tmp_path / "infra"
    assert load_project(tmp_path / "infra").directory == tmp_path


@pytest.mark.parametrize(
    ("version", "url", "name"),
    [
        ("", "", "default"),
        ("7.51.1", "", "default_7_51_1"),
        ("1.2.3-alpha.4+build.5", "", "default_1_2_3_alpha_4_build_5"),
        ("1.0.0", "https://example.com/a b", "default_1_0_0_https_/example.com/a_b"),
        ("", "github://api.github.com/org", "default_github_/api.github.com/org"),
    ],
)
def test_default_providers_are_named_as_pulumi_names_them(
    version: str, url: str, name: str
) -> None:
    assert urns.default_provider(version, url) == name
