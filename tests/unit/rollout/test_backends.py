"""Another serving system beside Seldon is a package and a row; the controller does not know."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from contracts import backends
from contracts.custom_resource import ModelRolloutSpec, cluster_plan
from contracts.errors import DocumentError, RolloutError
from contracts.model import ServingSpec
from contracts.rollout import WHOLE, Phase, RolloutSpec, RolloutStatus
from serving.rollout.backends import ServingBackend, backend
from serving.rollout.core.controller import decide
from serving.rollout.core.observations import Apply, Observation
from serving.rollout.deployment import KubernetesDeployment, Owner
from tests.unit.rollout import kserve
from tests.unit.rollout.cluster_world import ApiServer
from tests.unit.rollout.world import World, target

NAME = "churn"
PATH = f"/{kserve.KServe.kind[0]}/namespaces/models/{kserve.KServe.kind[1]}/{NAME}"


@pytest.fixture
def second(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(backends.BACKENDS, kserve.ROW.name, kserve.ROW)


@pytest.fixture
def server() -> Iterator[ApiServer]:
    made = ApiServer()
    yield made
    made.close()


def rollout_spec(version: int = 1) -> ModelRolloutSpec:
    return ModelRolloutSpec.parse(
        {
            "artifact": target(version).model_dump(mode="json"),
            "serving": {"backend": "kserve"},
            "plan": {"interval": "10s", "watch": "20s"},
        }
    )


def kserve_acts(server: ApiServer) -> None:
    """What KServe would make of the InferenceService, as far as anybody reads it."""
    live = server.objects.get(PATH)
    if live is None:
        return
    percent = live["spec"]["predictor"].get("canaryTrafficPercent", 100)
    traffic = [{"latestRevision": True, "percent": percent}]
    if "canaryTrafficPercent" in live["spec"]["predictor"]:
        traffic.append({"latestRevision": False, "percent": 100 - percent})
    status = {"status": {"components": {"predictor": {"traffic": traffic}}}}
    server.put(PATH, {**live, **status}, status=True)


def roll_out(server: ApiServer, world: World, status: RolloutStatus, version: int) -> RolloutStatus:
    """Until it is over; the weights are only those that the InferenceService's status says."""
    spec = rollout_spec(version)
    owner = Owner(name=NAME, namespace="models", uid="uid-owner")
    for _ in range(300):
        deployment = KubernetesDeployment(server.api, owner, spec)
        predictors = deployment.read()
        world.weights = {name: one.weight for name, one in (predictors or {}).items()}
        counted = world.observe(target(version)).counters
        seen = Observation(wanted=target(version), predictors=predictors, counters=counted)
        status, actions = decide(spec.plan, status, seen, world.now)
        for action in actions:
            if isinstance(action, Apply):
                deployment.apply(action.predictors)
        kserve_acts(server)
        for name in world.weights:
            world.counts.setdefault(name, [0, 0])
            world.ready[name] = True
        if status.candidate is None and status.confirmed == status.wanted:
            return status
        world.pass_time(spec.plan.interval)
    return status


@pytest.mark.usefixtures("second")
def test_a_rollout_on_another_serving_system(server: ApiServer) -> None:
    world = World(weights={}, bad={"v3": 0.5})
    status = roll_out(server, world, RolloutStatus(model=NAME), 1)
    assert (status.phase, status.confirmed) == (Phase.PROMOTED, {"v1": WHOLE})
    status = roll_out(server, world, status, 2)
    assert (status.phase, status.promoted_by) == (Phase.PROMOTED, "evidence")
    assert status.confirmed == {"v2": WHOLE}
    status = roll_out(server, world, status, 3)
    assert (status.phase, status.confirmed) == (Phase.ROLLED_BACK, {"v2": WHOLE})
    live = server.objects[PATH]
    assert "canaryTrafficPercent" not in live["spec"]["predictor"]
    assert target(2).uri in live["spec"]["predictor"]["containers"][0]["args"]


def test_the_row_leads_to_the_package() -> None:
    for name, facts in backends.BACKENDS.items():
        found: ServingBackend = backend(name)
        assert found.facts is facts
    assert backends.SELDON.path("models", "churn") == "/seldon/models/churn"


def test_an_unknown_name_is_refused_with_the_one_that_was_meant() -> None:
    with pytest.raises(DocumentError, match="'seldn' is not known; did you mean 'seldon'"):
        ServingSpec.parse({"backend": "seldn"})
    with pytest.raises(RolloutError, match="did you mean 'seldon'"):
        backend("seldn")


@pytest.mark.usefixtures("second")
def test_a_plan_is_in_steps_that_the_backend_can_express(monkeypatch: pytest.MonkeyPatch) -> None:
    finer = RolloutSpec.parse({"weight": {"start": "0.1%", "max": "20%"}})
    assert cluster_plan(finer, "kserve").weight.step == 0.01
    with pytest.raises(DocumentError, match="cannot be expressed by KServe; write 1%"):
        ModelRolloutSpec.parse(
            {
                **rollout_spec().model_dump(mode="json", exclude_none=True),
                "plan": {"weight": {"step": "0.5%"}},
            }
        )
