"""Scalable targets of Application Auto Scaling have tags, and a name of their own when missing.

moto forgets the tags, and answers a deletion of what is not there as if the request were malformed.

Source: https://docs.aws.amazon.com/autoscaling/application/APIReference/API_TagResource.html
"""

from __future__ import annotations

from typing import Any

from moto.applicationautoscaling.exceptions import AWSValidationException
from moto.applicationautoscaling.models import ApplicationAutoscalingBackend
from moto.applicationautoscaling.responses import ApplicationAutoScalingResponse
from moto.core.exceptions import JsonRESTError

from pocket.emulator.core.arn_tags import forget, give_tags, remember
from pocket.emulator.core.context import Context
from pocket.emulator.core.patching import replace

_DELETIONS = ("deregister_scalable_target", "delete_scaling_policy", "delete_scheduled_action")


def install(context: Context) -> None:
    """Keep the tags, from the registration to its end, and say what is not there."""
    for name in _DELETIONS:
        _say_what_is_not_there(name)
    give_tags(
        ApplicationAutoScalingResponse,
        lambda request: request.applicationautoscaling_backend,
        tags="Tags",
        keys="TagKeys",
        pairs=False,
    )

    @replace(ApplicationAutoScalingResponse, "register_scalable_target")
    def register(original: Any, self: ApplicationAutoScalingResponse) -> Any:
        answer = original(self)
        if self._get_param("Tags"):
            remember(self.applicationautoscaling_backend, _arn(self), self._get_param("Tags"))
        return answer

    @replace(ApplicationAutoScalingResponse, "deregister_scalable_target")
    def deregister(original: Any, self: ApplicationAutoScalingResponse) -> Any:
        arn = _arn(self)
        answer = original(self)
        forget(self.applicationautoscaling_backend, arn)
        return answer


def _say_what_is_not_there(name: str) -> None:
    @replace(ApplicationAutoscalingBackend, name)
    def delete(original: Any, backend: Any, *given: Any, **asked: Any) -> Any:
        try:
            return original(backend, *given, **asked)
        except AWSValidationException as error:
            raise JsonRESTError("ObjectNotFoundException", str(error.message)) from error


def _arn(request: ApplicationAutoScalingResponse) -> str:
    """The ARN of the target that a request names; empty when there is none."""
    backend = request.applicationautoscaling_backend
    wanted = (request._get_param("ResourceId"), request._get_param("ScalableDimension"))
    return next(
        (
            one.arn
            for one in backend._flatten_scalable_targets(request._get_param("ServiceNamespace"))
            if (one.resource_id, one.scalable_dimension) == wanted
        ),
        "",
    )
