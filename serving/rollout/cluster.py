"""What a person says to a rollout in a cluster, and sees of it: the laptop's verbs on a resource.

The command line uses this where `--context` names a cluster, and `laptop.rollout.LocalRollout`
elsewhere; the two have the same methods. Nothing here waits for the operator: what is wanted is
written into the ModelRollout, and the operator finds it.
"""

from __future__ import annotations

from contracts.backends import SELDON
from contracts.custom_resource import (
    API_VERSION,
    DECISION,
    KIND,
    ORDER,
    ModelRolloutSpec,
    ModelRolloutStatus,
    cluster_plan,
)
from contracts.errors import RolloutError
from contracts.model import ServingSpec
from contracts.rollout import Decision, RolloutSpec, RolloutStatus, Target
from serving.rollout.core.observations import Command
from serving.rollout.kubernetes import EVENTS, ROLLOUTS, Api, Object
from serving.rollout.wishes import beginning, check_start, is_over, under_way


class ClusterRollout:
    """A model's rollout in a cluster.

    Args:
        api: the Kubernetes API.
        namespace: the model's.
        model: its name.
    """

    def __init__(self, api: Api, namespace: str, model: str) -> None:
        self._api = api
        self._namespace = namespace
        self._model = model

    @property
    def name(self) -> str:
        """The model's name."""
        return self._model

    # -- what a person says ----------------------------------------------------------------------

    def start(
        self,
        target: Target,
        *,
        plan: RolloutSpec | None = None,
        serving: ServingSpec | None = None,
        retry: bool = False,
        judge: bool = False,
    ) -> None:
        """Want a version; the ModelRollout is made where there is none.

        Args:
            target: the version and its artifact.
            plan: another plan than the present one.
            serving: how each version is served; what is not in it stays as it is.
            retry: also if it was rolled back before.
            judge: also if it was judged before.

        Raises:
            RolloutError: it was rolled back before, it is the stable version already, or the
            cluster refuses it.
        """
        body = self._api.get(ROLLOUTS, self._namespace, self._model)
        status = self._status(body)
        check_start(self._model, status, target, retry=retry)
        spec: Object = {**(body or {}).get("spec", {}), "artifact": target.model_dump(mode="json")}
        if serving:
            spec["serving"] = {**spec.get("serving", {}), **serving.model_dump(mode="json")}
        if plan:
            backend = spec.get("serving", {}).get("backend", SELDON.name)
            written = cluster_plan(plan, backend)
            spec["plan"] = written.model_dump(mode="json", exclude_none=True)
        metadata: Object = {"name": self._model, "namespace": self._namespace}
        if word := beginning(retry=retry, judge=judge):
            metadata["annotations"] = {ORDER: f"{word} {target.version}"}
        if body is None:
            new = {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "spec": spec}
            self._api.create(ROLLOUTS, self._namespace, new)
        else:
            self._patch({"metadata": metadata, "spec": spec})

    def say(self, command: Command) -> None:
        """Pause, resume, abort or promote the rollout under way.

        Raises:
            RolloutError: none is under way.
        """
        candidate = under_way(self._model, self.status())
        self._patch({"metadata": {"annotations": {ORDER: f"{command} {candidate.version}"}}})

    def change(self, plan: RolloutSpec) -> None:
        """Another plan from the next look on."""
        written = cluster_plan(plan, self._spec().serving.backend)
        self._patch({"spec": {"plan": written.model_dump(mode="json", exclude_none=True)}})

    # -- what a person sees ----------------------------------------------------------------------

    def status(self) -> RolloutStatus:
        """What the operator last decided on."""
        return self._status(self._body()).rollout()

    def plan(self) -> RolloutSpec:
        """The plan in force."""
        return self._spec().plan

    def history(self) -> list[Decision]:
        """The decisions that the cluster still knows, oldest first: Events go after an hour."""
        body = self._body()
        uid = body["metadata"]["uid"]
        events = self._api.list(
            EVENTS, self._namespace, fieldSelector=f"involvedObject.name={self._model}"
        )
        recorded = [
            Decision.model_validate_json(event["metadata"]["annotations"][DECISION])
            for event in events
            if event["involvedObject"].get("uid") == uid
            and DECISION in event["metadata"].get("annotations", {})
        ]
        kept = self._status(body).decisions
        known = {decision.key: decision for decision in (*kept, *recorded)}
        return sorted(known.values(), key=lambda decision: (decision.at, decision.look))

    def over(self, status: RolloutStatus) -> bool:
        """Whether nothing is left to do: a verdict, confirmed, and no other version wanted."""
        return is_over(status, self._spec().artifact.version)

    # -- who runs it -----------------------------------------------------------------------------

    def ensure_runner(self) -> None:
        """Nothing: the operator's Deployment is brought back by the cluster."""

    def has_runner(self) -> bool:
        """True: who runs it is the cluster's affair, and cannot be seen from here."""
        return True

    @property
    def advice(self) -> str:
        """What to do when nothing is decided any more."""
        return "See the operator: `kubectl -n millwright get pods`."

    @property
    def pace(self) -> float:
        """Seconds between two readings: each asks the API server."""
        return 1.0

    # -- the resource ----------------------------------------------------------------------------

    def _body(self) -> Object:
        body = self._api.get(ROLLOUTS, self._namespace, self._model)
        if body is None:
            raise RolloutError(
                f"there is no ModelRollout {self._model!r} in namespace {self._namespace}",
                fix=f"Start one with `millwright rollout start {self._model} --context …`.",
            )
        return body

    def _spec(self) -> ModelRolloutSpec:
        where = f"{self._namespace}/{self._model}"
        return ModelRolloutSpec.parse(self._body()["spec"], where=where)

    def _status(self, body: Object | None) -> ModelRolloutStatus:
        given = (body or {}).get("status") or {}
        where = f"{self._namespace}/{self._model}: status"
        return ModelRolloutStatus.parse({"model": self._model, **given}, where=where)

    def _patch(self, change: Object) -> None:
        self._api.patch(ROLLOUTS, self._namespace, self._model, change)
