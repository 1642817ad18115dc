"""An image's name follows from what goes in: nothing else changes it, and nothing is forgotten."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from contracts.errors import ImageError, UsageError
from contracts.images import OWN
from contracts.version import VERSION
from images.lists import CHECKOUT, FOLDER, lists
from images.recipe import Recipe, copied, read_recipe

DOCKERFILE = """ARG BASE=docker.io/library/python:3.11-slim
FROM ${BASE} AS packages
COPY manifests/images/runtime.txt /packages.txt
FROM ${BASE}
COPY --from=packages /opt/venv /opt/venv
COPY serving/one.py serving/one.py
COPY contracts contracts
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    files = {
        "manifests/images/runtime.Dockerfile": DOCKERFILE,
        "manifests/images/runtime.txt": "numpy==1\n",
        "serving/one.py": "one",
        "serving/two.py": "two",
        "contracts/a.py": "a",
        "contracts/inner/b.py": "b",
        "contracts/__pycache__/a.pyc": "cache",
    }
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    return tmp_path


def test_it_holds_what_the_dockerfile_copies_and_no_caches(root: Path) -> None:
    recipe = read_recipe("runtime", root=root)
    assert recipe.base == "docker.io/library/python:3.11-slim"
    assert sorted(recipe.files) == [
        "contracts/a.py",
        "contracts/inner/b.py",
        "manifests/images/runtime.Dockerfile",
        "manifests/images/runtime.txt",
        "serving/one.py",
    ]


def test_the_build_sees_exactly_what_was_counted(root: Path) -> None:
    recipe = read_recipe("runtime", root=root)
    with recipe.laid_out() as folder:
        assert (folder / recipe.dockerfile).read_text() == DOCKERFILE
        laid = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
        assert laid == set(recipe.files)
    assert not folder.exists()


def test_the_tag_is_the_version_and_the_content(root: Path) -> None:
    recipe = read_recipe("runtime", root=root)
    assert recipe.tag == f"{VERSION}-{recipe.digest[:12]}"
    assert recipe.reference == f"millwright/runtime:{recipe.tag}"
    elsewhere = root.with_name(f"{root.name}-elsewhere")
    shutil.copytree(root, elsewhere)
    assert read_recipe("runtime", root=elsewhere).tag == recipe.tag


@pytest.mark.parametrize(
    "path",
    [
        "manifests/images/runtime.Dockerfile",
        "manifests/images/runtime.txt",
        "serving/one.py",
        "contracts/inner/b.py",
    ],
)
def test_any_change_of_what_goes_in_is_another_tag(root: Path, path: str) -> None:
    before = read_recipe("runtime", root=root).tag
    (root / path).write_text((root / path).read_text() + "\n# changed")
    assert read_recipe("runtime", root=root).tag != before


def test_a_file_that_moves_a_base_and_a_platform_are_another_tag(root: Path) -> None:
    tags = {
        read_recipe("runtime", root=root).tag,
        read_recipe("runtime", root=root, base="localhost/base:1").tag,
        read_recipe("runtime", root=root, platform="linux/arm64").tag,
    }
    (root / "contracts/a.py").rename(root / "contracts/c.py")
    assert len(tags | {read_recipe("runtime", root=root).tag}) == 4


def test_what_does_not_go_in_changes_nothing(root: Path) -> None:
    before = read_recipe("runtime", root=root).tag
    (root / "serving/two.py").write_text("changed")
    (root / "contracts/__pycache__/a.pyc").write_text("changed")
    assert read_recipe("runtime", root=root).tag == before


def test_a_copied_path_that_is_missing_is_named(root: Path) -> None:
    (root / "serving/one.py").unlink()
    with pytest.raises(ImageError, match=r"serving/one\.py is copied and is not there"):
        read_recipe("runtime", root=root)


def test_no_checkout_no_images(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="no checkout of Millwright"):
        read_recipe("runtime", root=tmp_path)


def test_an_unknown_image_is_refused_with_the_one_that_was_meant() -> None:
    with pytest.raises(UsageError, match="there is no image 'runtim'") as raised:
        read_recipe("runtim")
    assert "runtime" in raised.value.fix


@pytest.mark.parametrize("platform", ["amd64", "linux/amd64,linux/arm64", ""])
def test_one_platform_is_named_whole(platform: str) -> None:
    with pytest.raises(UsageError, match="is no platform"):
        read_recipe("runtime", platform=platform)


def test_the_contract_the_dockerfiles_and_the_lists_name_the_same_images() -> None:
    files = {path.stem for path in (CHECKOUT / FOLDER).glob("*.Dockerfile")}
    assert set(OWN) == files
    assert set(OWN) <= set(lists(CHECKOUT))


@pytest.mark.parametrize("name", OWN)
def test_each_image_of_ours_has_a_recipe(name: str) -> None:
    recipe: Recipe = read_recipe(name)
    text = recipe.files[recipe.dockerfile].read_text()
    assert f"{FOLDER.as_posix()}/{name}.txt" in recipe.files
    for source in copied(text):
        assert any(path == source or path.startswith(f"{source}/") for path in recipe.files)
