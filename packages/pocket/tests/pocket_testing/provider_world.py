"""Driving the provider as an engine does, for the lifecycle tests."""

from dataclasses import dataclass, field
from typing import Any

from pulumi.runtime.proto import provider_pb2

from pocket.provider.provider import AwsProvider
from pocket.provider.values import from_struct, plain, to_struct

SEED = b"a seed"


def urn_of(token: str, name: str = "thing") -> str:
    return f"urn:pulumi:test::demo::{token}::{name}"


@dataclass
class Resource:
    """A resource as an engine's state holds it."""

    token: str
    urn: str
    id: str
    inputs: dict[str, Any]
    outputs: dict[str, Any]

    def __getitem__(self, name: str) -> Any:
        return plain(self.outputs)[name]


@dataclass
class World:
    """The engine's side: checks, then does, and remembers what it made, to remove it."""

    provider: AwsProvider
    made: list[Resource] = field(default_factory=list)

    def check(
        self,
        token: str,
        inputs: dict[str, Any],
        olds: dict[str, Any] | None = None,
        name: str = "thing",
    ) -> tuple[dict[str, Any], list[str]]:
        response = self.provider.Check(
            provider_pb2.CheckRequest(
                urn=urn_of(token, name),
                news=to_struct(inputs),
                olds=to_struct(olds or {}),
                randomSeed=SEED,
            )
        )
        return from_struct(response.inputs), [
            f"{f.property}: {f.reason}" for f in response.failures
        ]

    def create(self, token: str, inputs: dict[str, Any], name: str = "thing") -> Resource:
        checked, failures = self.check(token, inputs, name=name)
        assert not failures
        response = self.provider.Create(
            provider_pb2.CreateRequest(
                urn=urn_of(token, name), properties=to_struct(checked), timeout=20
            )
        )
        made = Resource(
            token, urn_of(token, name), response.id, checked, from_struct(response.properties)
        )
        self.made.append(made)
        return made

    def preview(self, token: str, inputs: dict[str, Any]) -> dict[str, Any]:
        response = self.provider.Create(
            provider_pb2.CreateRequest(
                urn=urn_of(token), properties=to_struct(inputs), preview=True
            )
        )
        assert response.id == ""
        return from_struct(response.properties)

    def diff(self, resource: Resource, news: dict[str, Any], ignore: tuple[str, ...] = ()) -> Any:
        return self.provider.Diff(
            provider_pb2.DiffRequest(
                id=resource.id,
                urn=resource.urn,
                olds=to_struct(resource.outputs),
                old_inputs=to_struct(resource.inputs),
                news=to_struct(news),
                ignoreChanges=ignore,
            )
        )

    def update(self, resource: Resource, news: dict[str, Any]) -> Resource:
        response = self.provider.Update(
            provider_pb2.UpdateRequest(
                id=resource.id,
                urn=resource.urn,
                olds=to_struct(resource.outputs),
                old_inputs=to_struct(resource.inputs),
                news=to_struct(news),
            )
        )
        return Resource(
            resource.token, resource.urn, resource.id, news, from_struct(response.properties)
        )

    def read(self, resource: Resource) -> Resource | None:
        return self._read(resource.urn, resource.id, resource.inputs, resource.outputs)

    def adopt(self, resource: Resource) -> Resource | None:
        """What an engine asks that lost the answer to its Create."""
        return self._read(resource.urn, "", resource.inputs, {})

    def imported(self, resource: Resource) -> Resource | None:
        return self._read(resource.urn, resource.id, {}, {})

    def _read(
        self, urn: str, identity: str, inputs: dict[str, Any], outputs: dict[str, Any]
    ) -> Resource | None:
        response = self.provider.Read(
            provider_pb2.ReadRequest(
                urn=urn, id=identity, inputs=to_struct(inputs), properties=to_struct(outputs)
            )
        )
        if not response.id:
            return None
        token = urn.split("::")[2]
        return Resource(
            token, urn, response.id, from_struct(response.inputs), from_struct(response.properties)
        )

    def delete(self, resource: Resource) -> None:
        self.provider.Delete(
            provider_pb2.DeleteRequest(
                id=resource.id,
                urn=resource.urn,
                properties=to_struct(resource.outputs),
                old_inputs=to_struct(resource.inputs),
                timeout=5,
            )
        )
        self.made = [each for each in self.made if each is not resource]

    def clear(self) -> None:
        """Remove what prerequisites are left, last made first."""
        for resource in reversed(list(self.made)):
            self.delete(resource)
