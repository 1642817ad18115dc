"""An entry for kubectl that signs in as the AWS CLI does.

Its form and its names are those of `aws eks update-kubeconfig`, so that either may write it over
the other's: cluster, user and context are called by the cluster's ARN, and the user is a program
to run. What else stands in the file stays.

Source: https://docs.aws.amazon.com/cli/latest/reference/eks/update-kubeconfig.html
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from contracts.errors import DocumentError
from pocket.files import write_whole
from project.cluster import described, no_cluster
from project.handle import Project

SIGN_IN: Final = "client.authentication.k8s.io/v1beta1"
VARIABLE: Final = "KUBECONFIG"
PASSED_ON: Final = ("AWS_PROFILE", "AWS_ENDPOINT_URL")
"""Variables without which the AWS CLI would ask somebody else for the token."""
SECTIONS: Final = ("clusters", "contexts", "users")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A cluster, and how to sign in there.

    Args:
        name: the cluster's ARN.
        cluster: what kubectl has to know of the cluster.
        user: the program that signs in.
    """

    name: str
    cluster: dict[str, Any]
    user: dict[str, Any]

    def section(self, name: str) -> dict[str, Any]:
        """What it adds to one of a kubeconfig's sections."""
        inner = {
            "clusters": ("cluster", self.cluster),
            "contexts": ("context", {"cluster": self.name, "user": self.name}),
            "users": ("user", self.user),
        }[name]
        return {"name": self.name, inner[0]: inner[1]}


def entry(project: Project) -> Entry:
    """The entry of an environment's cluster.

    Raises:
        UsageError: it has no cluster, or the credentials are another account's.
        InfrastructureError: it is not up, or EKS does not describe its cluster.
    """
    if project.is_local:
        raise no_cluster(project.name)
    name, region = project.outputs().cluster.name, project.environment.region
    eks = project.aws().client("eks")
    endpoint, authority = described(eks, name)
    arguments = ["--region", region, "eks", "get-token", "--cluster-name", name]
    sign_in: dict[str, Any] = {
        "apiVersion": SIGN_IN,
        "command": "aws",
        "args": [*arguments, "--output", "json"],
    }
    given = [{"name": key, "value": os.environ[key]} for key in PASSED_ON if os.environ.get(key)]
    if given:
        sign_in["env"] = given
    return Entry(
        name=eks.describe_cluster(name=name)["cluster"]["arn"],
        cluster={"certificate-authority-data": authority, "server": endpoint},
        user={"exec": sign_in},
    )


def document(entry: Entry) -> dict[str, Any]:
    """A kubeconfig of this entry alone."""
    return merged({}, entry)


def default_file(name: str) -> Path:
    """The file that kubectl reads: of several, the one that has the entry, else the first."""
    files = [Path(each) for each in os.environ.get(VARIABLE, "").split(os.pathsep) if each]
    files = files or [Path.home() / ".kube" / "config"]
    for path in files:
        if path.is_file() and any(each.get("name") == name for each in _listed(path)):
            return path
    return files[0]


def merge(path: Path, entry: Entry) -> None:
    """Put the entry into a file, in place of one of its name; the file is its owner's only.

    Raises:
        DocumentError: the file is there and is no kubeconfig; it is left as it is.
    """
    # A link stays one: people keep this file elsewhere.
    target = path.resolve()
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    text = yaml.safe_dump(merged(_read(target), entry), sort_keys=False, allow_unicode=True)
    write_whole(target, text)


def merged(value: dict[str, Any], entry: Entry) -> dict[str, Any]:
    """A kubeconfig with the entry in it, and its context as the present one."""
    result = {"apiVersion": "v1", "kind": "Config", **value, "current-context": entry.name}
    for section in SECTIONS:
        others = [each for each in result.get(section) or () if each.get("name") != entry.name]
        result[section] = [*others, entry.section(section)]
    return result


def _listed(path: Path) -> list[dict[str, Any]]:
    return list(_read(path).get("clusters") or ())


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        value = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, yaml.YAMLError) as error:
        raise DocumentError(
            f"this is no kubeconfig: {str(error).splitlines()[0]}",
            where=str(path),
            fix="Correct it, or name another file with --file.",
        ) from None
    if not isinstance(value, dict) or not all(
        isinstance(each, dict) for section in SECTIONS for each in value.get(section) or ()
    ):
        raise DocumentError(
            "this is no kubeconfig",
            where=str(path),
            fix="Correct it, or name another file with --file.",
        )
    return value
