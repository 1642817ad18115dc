"""The registry of an environment: ECR, asked by boto3.

It says which images there are and lends a password for some hours; an image's bytes travel between
the registry and the tool that built it (`images.tools`).
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeVar

from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

from contracts.errors import ImageError
from images.tools import Credentials

ACCOUNT: Final = re.compile(r"^(\d{12})\.dkr\.ecr")
NO_IMAGE: Final = "ImageNotFoundException"
AGAIN: Final = ("the sign-in to AWS has ended", "Sign in again, with `aws sso login`, say.")
REFUSALS: Final[Mapping[str, tuple[str, str]]] = {
    "RepositoryNotFoundException": (
        "there is no such repository",
        "Run `millwright up {environment}`, which makes it.",
    ),
    "ExpiredToken": AGAIN,
    "ExpiredTokenException": AGAIN,
    "InvalidClientTokenId": AGAIN,
    "UnrecognizedClientException": AGAIN,
}
"""What ECR's codes mean, and what to do."""
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class KeptImage:
    """An image as the registry has it."""

    digest: str
    tags: tuple[str, ...]
    size: int
    """Bytes, compressed."""
    pushed: datetime | None


@dataclass(frozen=True)
class Registry:
    """The repositories of one environment.

    Args:
        environment: its name, for what errors advise.
        repositories: their addresses (``host/name``) by image, from the environment's outputs.
        ecr: a boto3 client of the environment's account and region.
    """

    environment: str
    repositories: Mapping[str, str]
    ecr: Any

    def repository(self, image: str) -> str:
        """The address of an image's repository.

        Raises:
            ImageError: the environment has none for it.
        """
        if image not in self.repositories:
            raise ImageError(
                f"{self.environment} has no repository for the image {image}",
                where=f"Pulumi.{self.environment}.yaml: registry.repositories",
                fix=f"Add it there, and run `millwright up {self.environment}`.",
            )
        return self.repositories[image]

    def find(self, image: str, *, tag: str = "", digest: str = "") -> KeptImage | None:
        """The image with this tag or digest; None where the repository has none.

        Raises:
            ImageError: there is no repository, or the registry does not answer.
        """
        named = {"imageTag": tag} if tag else {"imageDigest": digest}
        address = self.repository(image)
        answer = self._ask(
            address,
            lambda: self.ecr.describe_images(
                **owner(address), repositoryName=address.partition("/")[2], imageIds=[named]
            ),
        )
        for detail in (answer or {}).get("imageDetails", ()):
            return KeptImage(
                digest=detail["imageDigest"],
                tags=tuple(detail.get("imageTags", ())),
                size=int(detail.get("imageSizeInBytes") or 0),
                pushed=detail.get("imagePushedAt"),
            )
        return None

    def credentials(self, image: str) -> Credentials:
        """What signs in where the image's repository is.

        Raises:
            ImageError: nobody is signed in to AWS here, or the registry does not answer.
        """
        address = self.repository(image)
        account = ACCOUNT.match(address)
        answer = self._ask(
            address,
            lambda: self.ecr.get_authorization_token(
                **({"registryIds": [account[1]]} if account else {})
            ),
        )
        token = answer["authorizationData"][0]["authorizationToken"] if answer else ""
        user, _, password = base64.b64decode(token).decode().partition(":")
        return Credentials(host=address.partition("/")[0], user=user, password=password)

    def _ask(self, address: str, call: Callable[[], Answer]) -> Answer | None:
        """A call's answer; None where there is no such image.

        Raises:
            ImageError: anything else.
        """
        try:
            return call()
        except NoCredentialsError:
            reason, fix = "nobody is signed in to AWS here", "Sign in, with `aws sso login`, say."
        except ClientError as error:
            code, message = error.response["Error"]["Code"], error.response["Error"]["Message"]
            if code == NO_IMAGE:
                return None
            other = (f"ECR refused: {message}", "`millwright doctor {environment}` shows why.")
            reason, fix = REFUSALS.get(code, other)
        except BotoCoreError as error:
            reason, fix = f"the registry does not answer: {error}", "Is AWS reached from here?"
        raise ImageError(reason, where=address, fix=fix.format(environment=self.environment))


def owner(address: str) -> dict[str, str]:
    """The account of a repository's address, as ECR's calls take it."""
    account = ACCOUNT.match(address)
    return {"registryId": account[1]} if account else {}
