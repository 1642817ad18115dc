"""Which of Millwright's images an environment runs: what was last pushed to its registry.

``millwright images push ENV`` writes it beside the stack's file as ``images.<env>.yaml``. It holds
no secret and is meant to be checked in, so that an environment runs the same images whoever deploys
it. The program names the images by these digests; without the file, by ``registry.tag``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Self

import yaml
from pydantic import AfterValidator, Field

from contracts.document import Document
from contracts.environment.fields import Name, matching
from contracts.errors import DocumentError

OWN: Final = ("runtime", "operator", "pipelines")
"""Millwright's own images, each with a repository of its name in the environment's registry."""

Digest = Annotated[
    str, AfterValidator(matching(r"sha256:[0-9a-f]{64}", "a digest: sha256: and 64 hex digits"))
]


class PushedImage(Document):
    """One image in the registry."""

    repository: str = Field(min_length=1)
    """Where it was pushed, without tag or digest."""
    tag: str = Field(min_length=1)
    """The tag that it was pushed under, for people; the digest is what is run."""
    digest: Digest
    """The manifest's digest, as the registry answered it."""

    @property
    def reference(self) -> str:
        """``repository@sha256:…``."""
        return f"{self.repository}@{self.digest}"


class PushedImages(Document):
    """The images of one environment, from ``images.<env>.yaml``."""

    environment: Name
    """The environment that they were pushed for."""
    version: str = Field(min_length=1)
    """Millwright's version that they were built from; where ``registry.tag`` asks for another one,
    that tag is run instead."""
    images: dict[Name, PushedImage] = Field(default_factory=dict)
    """Images by name: ``runtime``, ``operator``, ``pipelines``."""

    @staticmethod
    def path(folder: Path, environment: str) -> Path:
        """The file of an environment, in the project's folder."""
        return folder / f"images.{environment}.yaml"

    @classmethod
    def read(cls, folder: Path, environment: str) -> Self | None:
        """What was pushed for an environment; None where nothing was.

        Raises:
            DocumentError: the file is not this document, or another environment's.
        """
        path = cls.path(folder, environment)
        if not path.exists():
            return None
        pushed = cls.load(path)
        if pushed.environment != environment:
            raise DocumentError(
                f"these are the images of {pushed.environment!r}",
                where=f"{path}: environment",
                fix=f"Run `millwright images push {environment}`, which writes the file anew.",
            )
        return pushed

    def text(self) -> str:
        """The file's text; the same images give the same text."""
        body = self.model_dump(mode="json")
        note = f"# Written by `millwright images push {self.environment}`.\n"
        return note + yaml.safe_dump(body, sort_keys=True)

    def digests(self, version: str) -> dict[str, str]:
        """Digests by image name, if they are of the version that is asked for."""
        if version != self.version:
            return {}
        return {name: image.digest for name, image in self.images.items()}
