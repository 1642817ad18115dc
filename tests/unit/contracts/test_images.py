"""What was pushed to an environment's registry: read, written, and refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from contracts.errors import DocumentError
from contracts.images import OWN, PushedImage, PushedImages

DIGEST = "sha256:" + "0a" * 32
REPOSITORY = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/millwright/dev/runtime"
PUSHED = PushedImages(
    environment="dev",
    version="1.2.0",
    images={"runtime": PushedImage(repository=REPOSITORY, tag="1.2.0-0a0a", digest=DIGEST)},
)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    PushedImages.path(tmp_path, "dev").write_text(PUSHED.text())
    assert PushedImages.read(tmp_path, "dev") == PUSHED
    assert PUSHED.images["runtime"].reference == f"{REPOSITORY}@{DIGEST}"
    assert PUSHED.text() == PushedImages.parse(PUSHED.model_dump(mode="json")).text()


def test_nothing_was_pushed(tmp_path: Path) -> None:
    assert PushedImages.read(tmp_path, "dev") is None


def test_another_environments_file_is_refused(tmp_path: Path) -> None:
    PushedImages.path(tmp_path, "prod").write_text(PUSHED.text())
    with pytest.raises(DocumentError, match="these are the images of 'dev'") as caught:
        PushedImages.read(tmp_path, "prod")
    assert "images push prod" in caught.value.fix


def test_digests_are_those_of_the_version_that_is_asked_for() -> None:
    assert PUSHED.digests("1.2.0") == {"runtime": DIGEST}
    assert PUSHED.digests("1.3.0") == {}


@pytest.mark.parametrize("digest", ["", "latest", "sha256:0a", "sha256:" + "0A" * 32])
def test_a_digest_is_a_digest(digest: str) -> None:
    image = {"repository": REPOSITORY, "tag": "1", "digest": digest}
    with pytest.raises(DocumentError) as caught:
        PushedImages.parse({"environment": "dev", "version": "1", "images": {"runtime": image}})
    assert "is not a digest: sha256: and 64 hex digits" in caught.value.problems[0]


def test_our_images_are_three() -> None:
    assert OWN == ("runtime", "operator", "pipelines")
