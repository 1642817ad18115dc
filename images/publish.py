"""Building, pushing and comparing the images of an environment.

A tag says what is in an image, so each step first looks whether it has been done: what is here is
not built again, and what the registry has is not pushed again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from contracts.errors import ImageError
from contracts.images import PushedImage, PushedImages
from contracts.version import VERSION
from images.pip import read_settings
from images.recipe import Recipe
from images.registry import KeptImage, Registry
from images.tools import Tool
from pocket.files import write_whole

Progress = Callable[[str], None]


@dataclass(frozen=True)
class BuiltImage:
    """An image on this machine."""

    name: str
    reference: str
    size: int
    """Bytes, unpacked."""
    seconds: float
    """How long it was built; 0 where it was here."""


def build(recipe: Recipe, tool: Tool, logs: Path, progress: Progress) -> BuiltImage:
    """Build an image, if its content has not been built here.

    Args:
        recipe: what it is made of.
        tool: what builds it.
        logs: the folder of the logs.
        progress: gets a line for a person before something that takes long.

    Raises:
        ImageError: the build failed.
    """
    began, size = time.monotonic(), tool.size(recipe.reference)
    if size is not None:
        return BuiltImage(recipe.name, recipe.reference, size, 0.0)
    log = logs / f"{recipe.name}.log"
    progress(f"building {recipe.reference} with {tool.name}; its log: {log}")
    tool.build(recipe, read_settings(), log)
    size = tool.size(recipe.reference)
    if size is None:
        raise ImageError(
            f"{tool.name} built {recipe.reference} and does not have it",
            fix=f"Its log: {log}",
        )
    return BuiltImage(recipe.name, recipe.reference, size, time.monotonic() - began)


@dataclass(frozen=True)
class Publisher:
    """Pushes images to one environment.

    Args:
        registry: the environment's.
        tool: gives what builds and pushes; not asked where neither is needed.
        logs: the folder of the logs.
        progress: gets a line for a person before something that takes long.
    """

    registry: Registry
    tool: Callable[[], Tool]
    logs: Path
    progress: Progress

    def push(self, recipe: Recipe) -> tuple[PushedImage, bool]:
        """Push an image, if the registry has not got its content; build it where needed.

        Returns:
            what the registry has, and whether it is new there.

        Raises:
            ImageError: it could not be built, or the registry refused it.
        """
        repository = self.registry.repository(recipe.name)
        kept = self.registry.find(recipe.name, tag=recipe.tag)
        digest = kept.digest if kept else self._push(recipe, f"{repository}:{recipe.tag}")
        return PushedImage(repository=repository, tag=recipe.tag, digest=digest), kept is None

    def _push(self, recipe: Recipe, target: str) -> str:
        """The digest of an image that the registry did not have."""
        tool = self.tool()
        build(recipe, tool, self.logs, self.progress)
        self.progress(f"pushing {target}")
        credentials = self.registry.credentials(recipe.name)
        log = self.logs / f"{recipe.name}-push.log"
        try:
            return tool.push(recipe.reference, target, credentials, log)
        except ImageError:
            # Tags never change: whoever pushed the same content meanwhile has done the work.
            if meanwhile := self.registry.find(recipe.name, tag=recipe.tag):
                return meanwhile.digest
            raise


def record(folder: Path, environment: str, images: dict[str, PushedImage]) -> PushedImages:
    """Write which images an environment runs; those of this version that stay are kept.

    Args:
        folder: the project's folder.
        environment: the environment's name.
        images: what was pushed, by name.

    Raises:
        DocumentError: the file that is there is none of ours.
    """
    before = PushedImages.read(folder, environment)
    kept = before.images if before and before.version == VERSION else {}
    pushed = PushedImages(environment=environment, version=VERSION, images={**kept, **images})
    path = PushedImages.path(folder, environment)
    write_whole(path, pushed.text())
    path.chmod(0o644)  # It holds no secret, and is checked in.
    return pushed


@dataclass(frozen=True, kw_only=True)
class Standing:
    """An image, here and in an environment."""

    name: str
    tag: str
    """What its content is called now."""
    here: int | None
    """Bytes on this machine; None where it is not built here."""
    kept: KeptImage | None
    """The same content in the registry."""
    used: PushedImage | None
    """What the environment runs, by its file."""
    lost: bool
    """Whether the registry has not got what the environment runs."""

    @property
    def current(self) -> bool:
        """Whether the environment runs the content of this checkout."""
        return self.used is not None and self.used.tag == self.tag


def standing(
    recipe: Recipe, tool: Tool | None, registry: Registry | None, used: PushedImage | None
) -> Standing:
    """How an image stands.

    Args:
        recipe: what it is made of.
        tool: what would have built it here; None where there is none.
        registry: the environment's; None where it is not asked.
        used: what the environment's file says of it; None where it says nothing.

    Raises:
        ImageError: the registry does not answer.
    """
    return Standing(
        name=recipe.name,
        tag=recipe.tag,
        here=tool.size(recipe.reference) if tool else None,
        kept=registry.find(recipe.name, tag=recipe.tag) if registry else None,
        used=used,
        lost=bool(registry and used and not registry.find(recipe.name, digest=used.digest)),
    )
