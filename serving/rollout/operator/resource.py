"""One ModelRollout as it was read, and the ways to write it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, get_args

import structlog

from contracts.custom_resource import (
    API_VERSION,
    GROUP,
    KEPT,
    KIND,
    ORDER,
    Condition,
    ModelRolloutSpec,
    ModelRolloutStatus,
)
from contracts.errors import DocumentError, RolloutError
from contracts.rollout import TERMINAL, WHOLE, RolloutStatus
from serving.rollout.core.observations import BEGINNING, Command
from serving.rollout.deployment import Owner
from serving.rollout.kubernetes import EVENTS, JSON_PATCH, ROLLOUTS, Api, Object

log = structlog.get_logger(__name__)

HEARTBEAT = 30.0
"""A status that only grew older is saved this often; the rollout's clock allows for more."""


class Resource:
    """One ModelRollout as it was read, and the ways to write it.

    Args:
        api: the Kubernetes API.
        body: the resource.
        clock: seconds since 1970.

    Raises:
        RolloutError: its status cannot be understood; nothing may be decided on it.
    """

    def __init__(self, api: Api, body: Object, clock: Callable[[], float]) -> None:
        self._api = api
        self._body = body
        self._clock = clock
        metadata = body["metadata"]
        self.owner = Owner(
            name=metadata["name"], namespace=metadata["namespace"], uid=metadata["uid"]
        )
        self.status = _parsed(ModelRolloutStatus, body.get("status"), self.owner)
        self.problem = ""
        self.spec = self._accepted()
        self._order = str(metadata.get("annotations", {}).get(ORDER, "")).strip()
        self._early = False

    def _accepted(self) -> ModelRolloutSpec | None:
        """The spec, or the last one that could be followed."""
        try:
            where = f"{self.owner.namespace}/{self.owner.name}: spec"
            return ModelRolloutSpec.parse(self._body["spec"], where=where)
        except DocumentError as error:
            self.problem = str(error)
            return self.status.accepted

    # -- what a person says ----------------------------------------------------------------------

    def commands(self) -> frozenset[Command]:
        """What a person says and was not obeyed yet."""
        if not self._order or self._order == self.status.obeyed:
            return frozenset()
        word, _, version = self._order.partition(" ")
        if word not in get_args(Command):
            known = ", ".join(get_args(Command))
            self.tell("NotUnderstood", f"{ORDER}: {word!r}; write one of {known}", warning=True)
            return frozenset()
        current = self.status.candidate or (self.spec.artifact if self.spec else None)
        wanted = self.spec.artifact.version if self.spec else None
        if word in BEGINNING:  # said with a wish: whoever is under way has to go back first
            before = self.status.candidate
            self._early = bool(before and before.version != wanted == version.strip())
        else:
            self._early = self._about_to_start()
        if self._early:
            return frozenset()
        if version.strip() and (current is None or current.version != version.strip()):
            return frozenset()
        return frozenset({word})  # type: ignore[arg-type]

    def _about_to_start(self) -> bool:
        """Whether an order is about a rollout that the next step begins: then it waits for it."""
        status, wanted = self.status, self.spec.artifact.version if self.spec else None
        served = status.stable is not None and status.stable.version == wanted
        return status.candidate is None and not served and wanted not in status.rejected

    def forget_order(self) -> None:
        """Take the order away that was obeyed; a newer one stays."""
        if not self._order or self._early:
            return
        path = f"/metadata/annotations/{ORDER.replace('/', '~1')}"
        change = [
            {"op": "test", "path": path, "value": self._body["metadata"]["annotations"][ORDER]},
            {"op": "remove", "path": path},
        ]
        try:
            self._api.patch(
                ROLLOUTS, self.owner.namespace, self.owner.name, change, form=JSON_PATCH
            )
        except RolloutError as error:
            log.info("order stays", model=self.owner.name, error=error.what)

    # -- the status ------------------------------------------------------------------------------

    def save(self, rollout: RolloutStatus) -> None:
        """Make the status durable, if it says anything new.

        Raises:
            ConflictError: the resource was written since it was read.
        """
        assert self.spec is not None
        given = rollout.model_copy(update={"decisions": rollout.decisions[-KEPT:]})
        status = ModelRolloutStatus(
            **{name: getattr(given, name) for name in RolloutStatus.model_fields},
            observedGeneration=self._body["metadata"].get("generation", 0),
            share=f"{rollout.weight * 100 / WHOLE:g}%" if rollout.candidate else "",
            served=max((guard.candidate.total for guard in rollout.guards.values()), default=0),
            obeyed="" if self._early else self._order,
            accepted=self.spec,
            conditions=self._conditions(rollout),
        )
        if not self._only_older(status):
            self._write(status)

    def _only_older(self, status: ModelRolloutStatus) -> bool:
        """Whether nothing changed but the time, and not much of that."""
        old, new = self.status, status
        clocks = {"clock": new.clock, "updated": new.updated}
        if old.model_copy(update=clocks) != new:
            return False
        rests = new.phase in TERMINAL
        return old.updated is not None and (rests or (new.updated or 0) - old.updated < HEARTBEAT)

    def _write(self, status: ModelRolloutStatus) -> None:
        written = json.loads(status.model_dump_json(by_alias=True, exclude_none=True))
        answer = self._api.replace(ROLLOUTS, {**self._body, "status": written}, "status")
        self._body = answer
        self.status = status

    def refuse(self) -> None:
        """Say that the spec cannot be followed, where none ever could."""
        status = self.status.model_copy(
            update={
                "observed_generation": self._body["metadata"].get("generation", 0),
                "conditions": self._conditions(self.status),
                "reason": "the spec cannot be followed",
            }
        )
        if status != self.status:
            self._write(status)
            self.tell("NotAccepted", self.problem, warning=True)

    def _conditions(self, rollout: RolloutStatus) -> tuple[Condition, ...]:
        settled = rollout.phase in TERMINAL and rollout.confirmed == rollout.wanted
        serves = rollout.stable is not None and rollout.confirmed == rollout.wanted
        refused = "Refused" if self.problem else "Understood"
        conditions = {
            "Accepted": (not self.problem, refused, self.problem),
            "Serving": (serves, str(rollout.phase), ""),
            "Settled": (settled and rollout.started is not None, str(rollout.phase), ""),
        }
        return tuple(self._condition(kind, *said) for kind, said in conditions.items())

    def _condition(self, kind: Any, holds: bool, reason: str, message: str) -> Condition:
        old = {condition.type: condition for condition in self.status.conditions}.get(kind)
        value: Any = "True" if holds else "False"
        since = datetime.fromtimestamp(self._clock(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return Condition(
            type=kind,
            status=value,
            reason=reason,
            message=message,
            lastTransitionTime=old.last_transition_time if old and old.status == value else since,
            observedGeneration=self._body["metadata"].get("generation", 0),
        )

    # -- events ----------------------------------------------------------------------------------

    def repaired(self, what: str) -> None:
        """A change made by hand was put right."""
        self.tell("PutRight", what, warning=True)

    def tell(
        self,
        reason: str,
        message: str,
        *,
        warning: bool = False,
        annotations: Mapping[str, str] | None = None,
    ) -> None:
        """An Event; the same one twice is one."""
        now = self._clock()
        stamp = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        owner, metadata = self.owner, self._body["metadata"]
        words = json.dumps([owner.uid, reason, message, dict(annotations or {}), stamp])
        name = f"{owner.name}.{hashlib.sha256(words.encode()).hexdigest()[:16]}"
        event = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {
                "name": name,
                "namespace": owner.namespace,
                "annotations": dict(annotations or {}),
            },
            "involvedObject": {
                "apiVersion": API_VERSION,
                "kind": KIND,
                "name": owner.name,
                "namespace": owner.namespace,
                "uid": owner.uid,
                "resourceVersion": metadata.get("resourceVersion", ""),
            },
            "type": "Warning" if warning else "Normal",
            "reason": reason,
            "message": message[:1024],
            "source": {"component": "millwright"},
            "reportingComponent": f"{GROUP}/operator",
            "reportingInstance": os.environ.get("HOSTNAME", "operator"),
            "firstTimestamp": stamp,
            "lastTimestamp": stamp,
            "count": 1,
        }
        try:
            self._api.create(EVENTS, owner.namespace, event)
        except RolloutError as error:
            log.info("event not written", model=owner.name, reason=reason, error=error.what)


def _parsed(document: type[ModelRolloutStatus], value: object, owner: Owner) -> ModelRolloutStatus:
    """The status of a resource; a new one's is blank."""
    blank = {"model": owner.name}
    given = {**blank, **value} if isinstance(value, Mapping) else blank
    return document.parse(given, where=f"{owner.namespace}/{owner.name}: status")
