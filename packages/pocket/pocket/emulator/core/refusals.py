"""What AWS refuses of a request before it looks at anything, and moto takes.

Every service's module may say what it refuses of an operation; tags are alike for all services.

Source: https://docs.aws.amazon.com/tag-editor/latest/userguide/best-practices-and-strats.html
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from moto.core.responses import BaseResponse

from pocket.emulator.core.errors import RefusedError
from pocket.emulator.core.patching import replace

Parameters = Mapping[str, Any]
MOST_TAGS: Final = 50
LONGEST_KEY: Final = 128
LONGEST_VALUE: Final = 256
TAG_LISTS: Final = ("Tags", "tags", "TagList", "ResourceTags", "tagList")
TAG_CODES: Final = {
    "iam": "ValidationError",
    "ec2": "InvalidParameterValue",
    "sns": "TagPolicyException",
    "eks": "InvalidParameterException",
    "kms": "TagException",
    "redshift": "InvalidTagFault",
    "ecr": "InvalidTagParameterException",
    "efs": "BadRequest",
    "rds": "InvalidParameterValue",
    "elasticache": "InvalidParameterValue",
    "logs": "InvalidParameterException",
    "kinesis": "InvalidArgumentException",
    "firehose": "InvalidArgumentException",
    "glue": "InvalidInputException",
    "secretsmanager": "InvalidParameterException",
    "budgets": "InvalidParameterException",
    "athena": "InvalidRequestException",
}
"""Each service's code for tags that it refuses; of others, ``ValidationException``."""
NO_CASE: Final = ("iam",)
"""Services in which two keys that differ in case only are one."""

_checks: dict[tuple[str, str], Callable[[Parameters], None]] = {}


def refuse(service: str, *operations: str) -> Callable[[Callable[[Parameters], None]], None]:
    """A decorator: the function is given the parameters of the operations, before anything is done.

    It raises `RefusedError` for what AWS refuses.
    """

    def put(check: Callable[[Parameters], None]) -> None:
        _checks.update({(service, operation): check for operation in operations})

    return put


def install() -> None:
    """Look at each request before moto does."""

    @replace(BaseResponse, "call_action")
    def checked(original: Callable[..., Any], self: BaseResponse) -> Any:
        service, operation = str(self.service_name or ""), str(self._get_action())
        parameters = _parameters(self)
        refuse_tags(service, parameters)
        if check := _checks.get((service, operation)):
            check(parameters)
        return original(self)


def _parameters(request: BaseResponse) -> Parameters:
    found: Any = {}
    if request.automated_parameter_parsing:
        found = request.params
    else:
        with contextlib.suppress(TypeError, ValueError):
            found = json.loads(request.body or "{}")
    return found if isinstance(found, Mapping) else {}


def refuse_tags(service: str, parameters: Parameters) -> None:
    """Let through only tags that AWS takes.

    Raises:
        RefusedError: too many, too long, AWS's own, or the same twice.
    """
    for tags in _tags(parameters):
        for why in _wrong(service, tags):
            raise RefusedError(TAG_CODES.get(service, "ValidationException"), why)


def _tags(parameters: Parameters) -> Iterator[list[tuple[str, str]]]:
    """Each list of tags that a request gives."""
    lists = [parameters.get(name) for name in TAG_LISTS]
    lists += [each.get("Tags") for each in parameters.get("TagSpecifications") or ()]
    for tags in lists:
        if isinstance(tags, Mapping):
            yield [(str(key), str(value)) for key, value in tags.items()]
        elif isinstance(tags, list) and all(isinstance(tag, Mapping) for tag in tags):
            named = [{key.lower(): value for key, value in tag.items()} for tag in tags]
            yield [
                (str(tag.get("key", tag.get("tagkey", ""))), str(tag.get("value") or ""))
                for tag in named
            ]


def _wrong(service: str, tags: list[tuple[str, str]]) -> Iterator[str]:
    if len(tags) > MOST_TAGS:
        yield f"a resource has at most {MOST_TAGS} tags, not {len(tags)}"
    keys = [key.lower() if service in NO_CASE else key for key, _ in tags]
    for key in sorted(key for key in set(keys) if keys.count(key) > 1):
        rule = " (tag keys are case insensitive)" if service in NO_CASE else ""
        yield f"Duplicate tag keys found{rule}: {key}"
    for key, value in tags:
        if key.lower().startswith("aws:"):
            yield f"{key}: tag keys starting with aws: are reserved for system tags"
        if not 1 <= len(key) <= LONGEST_KEY:
            yield f"{key}: a tag's key has 1 to {LONGEST_KEY} characters"
        if len(value) > LONGEST_VALUE:
            yield f"{key}: a tag's value has at most {LONGEST_VALUE} characters"
        if service == "iam":
            for text in (key, value):
                if not all(c.isalnum() or c.isspace() or c in "_.:/=+-@" for c in text):
                    yield (
                        f"{text}: a tag's characters satisfy [\\p{{L}}\\p{{Z}}\\p{{N}}_.:/=+\\-@]"
                    )
