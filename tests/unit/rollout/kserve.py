"""A second serving backend, as small as one can be: KServe's InferenceService, for the tests.

KServe serves the spec that was written last, and beside it the one that was rolled out before, with
`canaryTrafficPercent` of the requests for the newer (kserve.github.io, "Canary rollout"). Which
version is which stands in an annotation, because a revision's name is KServe's own.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence

from contracts.backends import BackendFacts
from contracts.rollout import WHOLE
from serving.rollout.backends import check_weights, percentages
from serving.rollout.core.observations import Observed, Predictor
from serving.rollout.kubernetes import Api, Object, contains
from serving.rollout.pods import Served, pod

ROW = BackendFacts(
    name="kserve",
    title="KServe",
    prefix="",
    finest=100,
    module="tests.unit.rollout.kserve",
)
REVISIONS = "millwright.dev/revisions"


class KServe:
    facts = ROW
    kind = ("apis/serving.kserve.io/v1beta1", "inferenceservices")
    title = "InferenceService"

    def service(self, model: str, predictor: str) -> str:
        return f"{model}-predictor"

    def document(
        self,
        served: Served,
        predictors: Sequence[Predictor],
        *,
        namespace: str,
        image: str,
        env: Mapping[str, str],
    ) -> Object:
        check_weights(served.name, predictors)
        weights = {one.target.predictor: one.weight for one in predictors}
        newest = max(predictors, key=lambda predictor: int(predictor.target.version))
        canary = {"canaryTrafficPercent": percentages(weights)[newest.target.predictor]}
        return {
            "apiVersion": "serving.kserve.io/v1beta1",
            "kind": "InferenceService",
            "metadata": {
                "name": served.name,
                "namespace": namespace,
                "labels": {"app.kubernetes.io/managed-by": "millwright"},
                "annotations": {REVISIONS: json.dumps(sorted(weights, reverse=True))},
            },
            "spec": {
                "predictor": {
                    **(canary if len(predictors) > 1 else {}),
                    **pod(served, newest, image, dict(env)),
                }
            },
        }

    def merged(self, live: Object, wanted: Object) -> Object:
        merged = copy.deepcopy(live)
        merged["metadata"]["annotations"] = wanted["metadata"]["annotations"]
        if not contains(live["spec"], wanted["spec"]) or (
            live["spec"]["predictor"].keys() != wanted["spec"]["predictor"].keys()
        ):
            merged["spec"] = copy.deepcopy(wanted["spec"])
        return merged

    def essence(self, live: Object) -> tuple[object, ...]:
        metadata = live["metadata"]
        return metadata["uid"], metadata["annotations"].get(REVISIONS), live["spec"]

    def observed(self, api: Api, live: Object) -> dict[str, Observed]:
        status = live.get("status", {}).get("components", {}).get("predictor", {})
        revisions = json.loads(live["metadata"]["annotations"][REVISIONS])
        order = sorted(status.get("traffic", ()), key=lambda part: not part.get("latestRevision"))
        return {
            name: Observed(ready=True, weight=part["percent"] * WHOLE // 100)
            for name, part in zip(revisions, order, strict=False)
        }


BACKEND = KServe()
