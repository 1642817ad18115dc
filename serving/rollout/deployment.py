"""A model's deployment in a cluster: one object of its serving backend, written and put right.

Every write is conditional on what was read, and on the object's being owned by this ModelRollout:
an object of somebody else's is never touched.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from contracts.custom_resource import API_VERSION, KIND, ClusterServing, ModelRolloutSpec
from contracts.errors import RolloutError
from contracts.rollout import RolloutSpec
from serving.rollout.backends import ServingBackend, backend, check_weights
from serving.rollout.core.observations import Observed, Predictor
from serving.rollout.kubernetes import Api, ConflictError, Object
from serving.rollout.pods import IMAGE


@dataclass(frozen=True, kw_only=True)
class Owner:
    """The ModelRollout that a deployment belongs to."""

    name: str
    namespace: str
    uid: str

    def reference(self) -> Object:
        """As an owner reference: when the owner is deleted, Kubernetes deletes what it owns."""
        return {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "name": self.name,
            "uid": self.uid,
            "controller": True,
        }


@dataclass(frozen=True, kw_only=True)
class ServedRollout:
    """What is served, from a ModelRollout."""

    name: str
    serving: ClusterServing
    rollout: RolloutSpec


class KubernetesDeployment:
    """A model's object of its serving backend in a cluster.

    Args:
        api: the Kubernetes API.
        owner: the ModelRollout it belongs to.
        spec: how the versions are served.
        image: the model server's image where the spec names none.
        env: environment variables of every server, where the spec does not say otherwise.
        repaired: told what had been changed by hand, when it is put right.
    """

    def __init__(
        self,
        api: Api,
        owner: Owner,
        spec: ModelRolloutSpec,
        *,
        image: str = IMAGE,
        env: Mapping[str, str] | None = None,
        repaired: Callable[[str], None] = lambda what: None,
    ) -> None:
        self._api = api
        self._owner = owner
        self._served = ServedRollout(name=owner.name, serving=spec.serving, rollout=spec.plan)
        self._image = spec.serving.image or image
        self._env = {**(env or {}), **spec.serving.env}
        self._backend: ServingBackend = backend(spec.serving.backend)
        self._repaired = repaired
        self._read = False
        self._live: Object | None = None

    def read(self) -> Mapping[str, Observed] | None:
        """Each predictor that has servers or traffic, with the weight in use."""
        owner = self._owner
        self._read = False
        self._live = self._api.get(self._backend.kind, owner.namespace, owner.name)
        if self._live is not None:
            self._check_owner(self._live)
        self._read = True
        if self._live is None:
            return {}
        return self._backend.observed(self._api, self._live)

    def apply(self, predictors: Sequence[Predictor]) -> None:
        """Write the predictors and their traffic; nothing when that is how it is.

        Raises:
            ConflictError: it was changed since it was read; the next step decides anew.
            RolloutError: the weights are impossible, or it was not read.
        """
        if not self._read:
            raise RolloutError(
                "it is not known what runs, so nothing is changed", where=self._where
            )
        if not predictors:
            self._remove()
            return
        check_weights(self._owner.name, predictors)
        wanted = self._document(predictors)
        if self._live is None:
            self._live = self._api.create(self._backend.kind, self._owner.namespace, wanted)
        elif (merged := self._backend.merged(self._live, wanted)) != self._live:
            self._live = self._replace(merged)

    def repair(self, predictors: Sequence[Predictor]) -> None:
        """Put right what was changed by hand in a deployment that should be so."""
        if not self._read or self._live is None:
            return
        merged = self._backend.merged(self._live, self._document(predictors))
        if merged != self._live:
            self._live = self._replace(merged)
            self._repaired(f"the {self._backend.title} differed from what was written: put right")

    @property
    def _where(self) -> str:
        return f"{self._owner.namespace}/{self._owner.name}"

    def _document(self, predictors: Sequence[Predictor]) -> Object:
        document = copy.deepcopy(
            self._backend.document(
                self._served,
                predictors,
                namespace=self._owner.namespace,
                image=self._image,
                env=self._env,
            )
        )
        document["metadata"]["ownerReferences"] = [self._owner.reference()]
        return document

    def _remove(self) -> None:
        if self._live is not None:
            self._api.delete(self._backend.kind, self._live)
            self._live = None

    def _replace(self, merged: Object) -> Object:
        """Write; a conflict with the serving system's own status is none."""
        try:
            return self._api.replace(self._backend.kind, merged)
        except ConflictError:
            now = self._api.get(self._backend.kind, self._owner.namespace, self._owner.name)
            if (
                now is None
                or self._live is None
                or (self._backend.essence(now) != self._backend.essence(self._live))
            ):
                raise
            merged["metadata"]["resourceVersion"] = now["metadata"]["resourceVersion"]
            return self._api.replace(self._backend.kind, merged)

    def _check_owner(self, live: Object) -> None:
        """Refuse what is not ours.

        Raises:
            RolloutError: it belongs to somebody else, or to nobody.
        """
        owners = live["metadata"].get("ownerReferences", ())
        if self._owner.uid not in {owner.get("uid") for owner in owners}:
            raise RolloutError(
                f"there is a {self._backend.title} of this name that this ModelRollout does not "
                "own",
                where=self._where,
                fix="Delete it, or give the ModelRollout another name.",
            )
