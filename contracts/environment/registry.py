"""ECR: container images."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, field_validator

from contracts.environment.fields import Name, Section, matching
from contracts.version import VERSION


class RegistrySettings(Section):
    """ECR: container images."""

    repositories: tuple[Name, ...] = (
        "runtime",
        "components",
        "operator",
        "gateway",
        "pipelines",
    )
    """The images' names."""
    keep: int = Field(default=50, ge=1, le=1000)
    """How many versions of an image are kept."""
    tag: Annotated[
        str, AfterValidator(matching(r"(?!latest$)[\w][\w.-]{0,127}", "a version such as 1.4.2"))
    ] = VERSION
    """Of Millwright's own images, the version that runs. Not `latest`: a tag never changes."""

    @field_validator("repositories")
    @classmethod
    def distinct(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        """A repository is made once."""
        if len(set(value)) != len(value):
            raise ValueError("a repository is named twice")
        return value
