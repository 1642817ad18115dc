"""What is pushed, when, and what is written down: ECR is moto's, the tool is played."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError
from moto import mock_aws

from contracts.errors import ImageError
from contracts.images import PushedImage, PushedImages
from contracts.version import VERSION
from images.pip import PipSettings
from images.publish import Publisher, build, record, standing
from images.recipe import Recipe, read_recipe
from images.registry import Registry
from images.tools import Credentials

ACCOUNT = "123456789012"
REPOSITORY = "millwright/dev/runtime"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
ADDRESS = f"{ACCOUNT}.dkr.ecr.eu-central-1.amazonaws.com/{REPOSITORY}"


@pytest.fixture
def ecr() -> Iterator[Any]:
    with mock_aws():
        client = boto3.client("ecr", region_name="eu-central-1")
        client.create_repository(repositoryName=REPOSITORY, imageTagMutability="IMMUTABLE")
        yield client


@pytest.fixture
def registry(ecr: Any) -> Registry:
    return Registry("dev", {"runtime": ADDRESS}, ecr)


@dataclass
class PlayedTool:
    """Builds nothing, and pushes a manifest to ECR."""

    ecr: Any
    name: str = "played"
    here: dict[str, int] = field(default_factory=dict)
    pushed: list[str] = field(default_factory=list)
    seen: list[Credentials] = field(default_factory=list)
    forgets: bool = False
    beaten: bool = False
    """Somebody else pushes the same content first."""

    def problem(self) -> str:
        return ""

    def size(self, reference: str) -> int | None:
        return self.here.get(reference)

    def build(self, recipe: Recipe, settings: PipSettings, log: Path) -> None:
        if not self.forgets:
            self.here[recipe.reference] = 445_000_000

    def push(self, reference: str, target: str, credentials: Credentials, log: Path) -> str:
        self.seen.append(credentials)
        self.pushed.append(target)
        digest = put(self.ecr, target.rpartition(":")[2])
        if self.beaten:
            raise ImageError("tag invalid: the tag already exists and is immutable")
        return digest


def put(ecr: Any, tag: str) -> str:
    """An image with this tag; its digest comes back."""
    manifest = json.dumps({"mediaType": MANIFEST, "layers": [], "config": {"size": 1}, "t": tag})
    digest = f"sha256:{hashlib.sha256(manifest.encode()).hexdigest()}"
    ecr.put_image(
        repositoryName=REPOSITORY, imageManifest=manifest, imageTag=tag, imageDigest=digest
    )
    return digest


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    folder = tmp_path / "checkout" / "manifests" / "images"
    folder.mkdir(parents=True)
    (folder / "runtime.Dockerfile").write_text("ARG BASE=scratch\nFROM ${BASE}\n")
    return read_recipe("runtime", root=tmp_path / "checkout")


@pytest.fixture
def publisher(registry: Registry, tmp_path: Path) -> Callable[[PlayedTool], Publisher]:
    return lambda tool: Publisher(registry, lambda: tool, tmp_path / "logs", lambda line: None)


def test_what_is_not_built_is_built_and_pushed_once(
    ecr: Any, recipe: Recipe, publisher: Callable[[PlayedTool], Publisher]
) -> None:
    tool = PlayedTool(ecr)
    pushed, new = publisher(tool).push(recipe)
    assert new
    assert pushed.reference == f"{ADDRESS}@{pushed.digest}"
    assert tool.pushed == [f"{ADDRESS}:{recipe.tag}"]
    assert list(tool.here) == [recipe.reference]
    (credentials,) = tool.seen
    assert credentials.host == ADDRESS.partition("/")[0]
    assert (credentials.user, credentials.password) == ("AWS", f"{ACCOUNT}-auth-token")

    elsewhere = PlayedTool(ecr)
    assert publisher(elsewhere).push(recipe) == (pushed, False)
    assert (elsewhere.pushed, elsewhere.here) == ([], {})


def test_who_is_beaten_takes_what_is_there(
    ecr: Any, recipe: Recipe, publisher: Callable[[PlayedTool], Publisher]
) -> None:
    pushed, _ = publisher(PlayedTool(ecr, beaten=True)).push(recipe)
    assert pushed.digest == publisher(PlayedTool(ecr)).push(recipe)[0].digest


def test_a_refused_push_is_an_error(
    recipe: Recipe, registry: Registry, publisher: Callable[[PlayedTool], Publisher]
) -> None:
    tool = PlayedTool(registry.ecr)
    tool.push = refused  # type: ignore[method-assign]
    with pytest.raises(ImageError, match="denied"):
        publisher(tool).push(recipe)


def refused(*_: object) -> str:
    raise ImageError("denied: no permission")


def test_a_build_that_left_nothing_is_an_error(ecr: Any, recipe: Recipe, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"played built .+ and does not have it"):
        build(recipe, PlayedTool(ecr, forgets=True), tmp_path, lambda line: None)


def test_the_same_content_is_built_once(ecr: Any, recipe: Recipe, tmp_path: Path) -> None:
    tool, lines = PlayedTool(ecr), list[str]()
    first = build(recipe, tool, tmp_path, lines.append)
    second = build(recipe, tool, tmp_path, lines.append)
    assert (first.size, second.seconds) == (445_000_000, 0.0)
    assert len(lines) == 1


def test_an_environment_without_the_repository_says_what_to_do(registry: Registry) -> None:
    with pytest.raises(ImageError, match="dev has no repository for the image operator") as raised:
        registry.repository("operator")
    assert raised.value.where == "Pulumi.dev.yaml: registry.repositories"
    gone = Registry("dev", {"runtime": f"{ADDRESS}-gone"}, registry.ecr)
    with pytest.raises(ImageError, match="there is no such repository") as raised:
        gone.find("runtime", tag="1")
    assert raised.value.fix == "Run `millwright up dev`, which makes it."


@pytest.mark.parametrize(
    ("error", "what", "fix"),
    [
        (NoCredentialsError(), "nobody is signed in to AWS here", "aws sso login"),
        (EndpointConnectionError(endpoint_url="x"), "does not answer", "reached"),
        ("ExpiredTokenException", "the sign-in to AWS has ended", "Sign in again"),
        ("AccessDeniedException", "ECR refused: because", "millwright doctor dev"),
    ],
)
def test_what_the_registry_refuses_is_a_sentence(
    error: Exception | str, what: str, fix: str
) -> None:
    class Refusing:
        def get_authorization_token(self, **_: object) -> None:
            if isinstance(error, Exception):
                raise error
            answer = {"Error": {"Code": error, "Message": "because"}}
            raise ClientError(answer, "GetAuthorizationToken")

    with pytest.raises(ImageError, match=what) as raised:
        Registry("dev", {"runtime": ADDRESS}, Refusing()).credentials("runtime")
    assert fix in raised.value.fix


def test_images_of_this_version_stay_and_others_go(tmp_path: Path) -> None:
    image = PushedImage(repository=ADDRESS, tag="1", digest=f"sha256:{'ab' * 32}")
    record(tmp_path, "dev", {"operator": image})
    pushed = record(tmp_path, "dev", {"runtime": image})
    assert set(pushed.images) == {"operator", "runtime"}
    path = PushedImages.path(tmp_path, "dev")
    assert PushedImages.read(tmp_path, "dev") == pushed
    assert path.stat().st_mode & 0o777 == 0o644
    document = yaml.safe_load(path.read_text())
    assert document["version"] == VERSION
    path.write_text(yaml.safe_dump({**document, "version": "0.0.1"}))
    assert set(record(tmp_path, "dev", {"runtime": image}).images) == {"runtime"}


def test_a_standing_tells_current_from_stale_and_lost(
    ecr: Any, recipe: Recipe, registry: Registry, publisher: Callable[[PlayedTool], Publisher]
) -> None:
    tool = PlayedTool(ecr)
    before = standing(recipe, tool, registry, None)
    assert (before.here, before.kept, before.current, before.lost) == (None, None, False, False)
    pushed, _ = publisher(tool).push(recipe)
    now = standing(recipe, tool, registry, pushed)
    assert now.kept is not None
    assert (now.here, now.kept.digest) == (445_000_000, pushed.digest)
    assert now.kept.tags == (recipe.tag,)
    assert (now.current, now.lost) == (True, False)
    old = PushedImage(repository=ADDRESS, tag="0.0.9-old", digest=f"sha256:{'cd' * 32}")
    stale = standing(recipe, tool, registry, old)
    assert (stale.current, stale.lost) == (False, True)
    assert standing(recipe, None, None, old).lost is False
