"""How an image's list follows from what is asked for: extras, markers, versions by Python."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from contracts.errors import ImageError
from images import lists

PYPROJECT = """
[project]
name = "millwright"
dependencies = ["base"]

[project.optional-dependencies]
server = ["web[fast]", "numbers"]
tools = ["builder"]
"""

LOCK = """# made by a tool
base==1.0 \\
    --hash=sha256:aa
    # via millwright (pyproject.toml)
builder==9 \\
    --hash=sha256:bb
    # via millwright (pyproject.toml)
colours==1 ; sys_platform == 'win32' \\
    --hash=sha256:cc
    # via web
helper==3 \\
    --hash=sha256:dd
    # via
    #   numbers
    #   unrelated
numbers==1.1 ; python_full_version < '3.12' \\
    --hash=sha256:ee
    # via millwright (pyproject.toml)
numbers==2.2 ; python_full_version >= '3.12' \\
    --hash=sha256:ff
    # via millwright (pyproject.toml)
old==1 ; python_full_version < '3.11.3' \\
    --hash=sha256:ab
    # via web
speedy==4 \\
    --hash=sha256:ac
    --hash=sha256:ad
    # via web
tested==1 \\
    --hash=sha256:ae
    # via web
web==7.0 \\
    --hash=sha256:af
    # via millwright (pyproject.toml)
"""

ASKED = {
    "base": (),
    "builder": (),
    "web": (
        "Base>=1",
        "colours; sys_platform == 'win32'",
        "old; python_full_version < '3.11.3'",
        'speedy[c]; extra == "fast"',
        'tested; extra == "test"',
    ),
    "speedy": ('web[fast]; extra == "c"',),
    "helper": (),
    "old": (),
}
"""`numbers` is not installed: what it asks for is what the lock says of it."""


@pytest.fixture
def requirements(tmp_path: Path) -> lists.Requirements:
    (tmp_path / "pyproject.toml").write_text(PYPROJECT)
    (tmp_path / "requirements.lock").write_text(LOCK)
    folder = tmp_path / lists.FOLDER
    folder.mkdir(parents=True)
    (folder / "server.Dockerfile").write_text(
        "COPY manifests/images/tools.txt /t\nCOPY manifests/images/server.txt /s\n"
    )
    return lists.Requirements(tmp_path, asked=ASKED)


def entries(text: str) -> list[str]:
    return re.findall(r"^(\S+==\S+)", text, re.MULTILINE)


def test_an_image_has_what_its_extra_asks_for_and_no_more(requirements: lists.Requirements) -> None:
    assert entries(lists.render(requirements, "server")) == [
        "base==1.0",
        "helper==3",
        "numbers==1.1",
        "numbers==2.2",
        "old==1",
        "speedy==4",
        "web==7.0",
    ]


def test_lines_are_the_locks_with_marker_and_hashes_without_comments(
    requirements: lists.Requirements,
) -> None:
    text = lists.render(requirements, "server")
    assert text.startswith("# Of requirements.lock, what pyproject.toml's server needs.")
    assert "numbers==1.1 ; python_full_version < '3.12' \\\n    --hash=sha256:ee\n" in text
    assert "speedy==4 \\\n    --hash=sha256:ac\n    --hash=sha256:ad\n" in text
    assert "# via" not in text


def test_tools_that_no_image_runs_do_not_bring_ours(requirements: lists.Requirements) -> None:
    assert lists.lists(requirements.root) == ["server", "tools"]
    assert entries(lists.render(requirements, "tools")) == ["builder==9"]


def test_a_package_that_the_lock_lacks_is_named(requirements: lists.Requirements) -> None:
    requirements = lists.Requirements(requirements.root, asked={**ASKED, "base": ("missing>=1",)})
    with pytest.raises(ImageError, match="missing is needed by the extra server") as raised:
        lists.render(requirements, "server")
    assert "make lock" in raised.value.fix


def test_an_image_without_an_extra_is_refused(requirements: lists.Requirements) -> None:
    with pytest.raises(ImageError, match="there is no extra gateway"):
        lists.render(requirements, "gateway")
