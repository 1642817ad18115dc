"""What a model server answers, and which of it is an inference: said once.

A front door shares inferences out by weight and counts them, and the rollout is judged on that
count. If the door and the server disagreed about what an inference is (a slash more, another
version's path, a letter's escape), a request could be served that nobody counts, and harm would be
done that nobody sees. So the door's routes and the server's are made from this table, paths are
compared as they were sent, byte for byte, and what is not in the table is refused by both.

Source: https://github.com/kserve/open-inference-protocol, specification/protocol/inference_rest.md;
``config``, ``stats`` and ``repository`` are Triton's extensions of it
(https://github.com/triton-inference-server/server/tree/main/docs/protocol).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, unquote

PREDICTOR_HEADER: Final = "x-millwright-predictor"
"""Of an answer: the predictor that gave it. Of a request: the one that it is addressed to."""
VERSION_HEADER: Final = "x-millwright-version"
"""Of an answer: the model's version that gave it."""
REQUEST_ID_HEADER: Final = "x-request-id"
"""Names a request; picks the server of a version, and is what feedback names it by."""
ORIGINS_VARIABLE: Final = "MILLWRIGHT_ORIGINS"
"""Environment variable of a model server: the origins whose pages may ask, with blanks between."""
BINARY_HEADER: Final = "inference-header-content-length"
"""Bytes of the JSON in front of binary tensors."""


DEPLOYMENT_METADATA: Final = "seldon"
NAMESPACE_METADATA: Final = "namespace"
"""Metadata by which a front door chooses a call's deployment, as Seldon's does."""
CALLS: Final = "inference.GRPCInferenceService"
"""The service of gRPC that the Open Inference Protocol has."""
CALLS_INFERENCE: Final = f"/{CALLS}/ModelInfer"
"""Its only method that is an inference."""
CALLS_PATHS: Final = (
    CALLS_INFERENCE,
    *(
        f"/{CALLS}/{name}"
        for name in (
            *("ServerLive", "ServerReady", "ModelReady", "ServerMetadata", "ModelMetadata"),
            *("RepositoryIndex", "RepositoryModelLoad", "RepositoryModelUnload"),
        )
    ),
)
"""The paths of all its methods."""


@dataclass(frozen=True, kw_only=True)
class Route:
    """One path of a model server.

    Args:
        name: what is there.
        method: the method that it takes; OPTIONS is always taken, and HEAD where GET is.
        path: the path, with {model}.
        versioned: whether it is also there for a version by its number.
    """

    name: str
    method: str
    path: str
    versioned: bool = False

    def of(self, model: str) -> str:
        """The path for a model, whichever version."""
        return self.path.format(model=model)

    def of_version(self, model: str, version: str) -> str:
        """The path for one version of a model."""
        return self.path.format(model=f"{model}/versions/{version}")


_MODEL: Final = "/v2/models/{model}"

INFER: Final = Route(name="infer", method="POST", path=f"{_MODEL}/infer", versioned=True)
PREDICT: Final = Route(name="predict", method="POST", path=f"{_MODEL}/predict", versioned=True)
"""Rows in place of tensors; no route of the Open Inference Protocol."""
INFERENCES: Final = (INFER, PREDICT)
"""The only routes that are inferences."""

MODEL: Final = Route(name="model", method="GET", path=_MODEL, versioned=True)
MODEL_READY: Final = Route(name="model_ready", method="GET", path=f"{_MODEL}/ready", versioned=True)
FEEDBACK: Final = Route(name="feedback", method="POST", path=f"{_MODEL}/feedback", versioned=True)

EXPLAIN: Final = Route(name="explain", method="POST", path=f"{_MODEL}/explain", versioned=True)
"""What each feature added to a prediction; no inference."""
INDEX: Final = Route(name="index", method="POST", path="/v2/repository/index")
LOAD: Final = Route(name="load", method="POST", path="/v2/repository/models/{model}/load")
SERVER: Final = Route(name="server", method="GET", path="/v2")

ROUTES: Final[tuple[Route, ...]] = (
    *INFERENCES,
    SERVER,
    Route(name="live", method="GET", path="/v2/health/live"),
    Route(name="ready", method="GET", path="/v2/health/ready"),
    INDEX,
    LOAD,
    Route(name="unload", method="POST", path="/v2/repository/models/{model}/unload"),
    Route(name="all_stats", method="GET", path="/v2/models/stats"),
    MODEL,
    MODEL_READY,
    Route(name="config", method="GET", path=f"{_MODEL}/config", versioned=True),
    Route(name="stats", method="GET", path=f"{_MODEL}/stats", versioned=True),
    FEEDBACK,
    EXPLAIN,
    Route(name="metrics", method="GET", path="/metrics"),
)
"""All that a model server answers."""


def paths(model: str, version: str = "") -> list[str]:
    """The known paths of a model: those of one version, or else those that name none."""
    if version:
        return [route.of_version(model, version) for route in ROUTES if route.versioned]
    return list(dict.fromkeys(route.of(model) for route in ROUTES))


def respelled(path: str, known: Iterable[str]) -> str:
    """The known path that another spelling of it seems to mean; empty where there is none."""
    plain = re.sub("/+", "/", unquote(path)).rstrip("/").lower()
    return next((own for own in known if own.lower() == plain), "")


def header_text(text: str) -> str:
    """A text as it may stand in a header: percent-encoded where it holds what a header cannot.

    Clients and servers write a request's id by this rule, so that the same id picks the same
    server.
    """
    return text if text.isascii() and text.isprintable() and text == text.strip() else quote(text)
