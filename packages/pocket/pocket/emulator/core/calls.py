"""Which operation of which service a request calls.

AWS's protocols say it in four ways: a header, a form field, a path that is the name, or a method
and a path with parameters in it. Whoever treats some operations differently (the fault injector)
must read all four.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from typing import Any
from urllib.parse import parse_qs

import botocore.session  # type: ignore[import-untyped,unused-ignore]

from pocket.emulator.core import errors

_FORM = "application/x-www-form-urlencoded"
_RPC = re.compile(r"/service/[^/]+/operation/(\w+)")
# botocore's names of services whose signatures bear another.
_MODELS = {"elasticfilesystem": "efs", "monitoring": "cloudwatch", "": "s3"}


@dataclass(frozen=True)
class Call:
    """A request as its sender knows it: ``ec2``, ``CreateVpc``."""

    service: str
    operation: str

    def __str__(self) -> str:
        return f"{self.service}.{self.operation}"


def call_of(environ: dict[str, Any]) -> Call:
    """The call that a request makes; the operation is empty where the request names none.

    A form's body is read for this, and put back.
    """
    signed = errors.service(environ)
    service = _MODELS.get(signed, signed)
    return Call(service, _operation(environ, service))


def _operation(environ: dict[str, Any], service: str) -> str:
    target = str(environ.get("HTTP_X_AMZ_TARGET") or "")
    if target:
        return target.rpartition(".")[2]
    if str(environ.get("CONTENT_TYPE") or "").startswith(_FORM):
        return parse_qs(_body(environ).decode()).get("Action", [""])[0]
    path = str(environ.get("PATH_INFO") or "/")
    named = _RPC.fullmatch(path)
    if named:
        return named.group(1)
    return _by_path(service, str(environ["REQUEST_METHOD"]), path, environ)


def _body(environ: dict[str, Any]) -> bytes:
    body: bytes = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = BytesIO(body)
    return body


def _by_path(service: str, method: str, path: str, environ: Mapping[str, Any]) -> str:
    """The operation with that method which the request fits; of several, the one that asks for
    most.
    """
    asked = parse_qs(str(environ.get("QUERY_STRING") or ""), keep_blank_values=True)
    fitting = [
        (-len(route.literals) - len(route.required), route.parameters, len(route.name), route.name)
        for route in _routes(service)
        if route.method == method
        and route.pattern.fullmatch(path)
        and all(asked.get(key, [None])[0] == value for key, value in route.literals.items())
        and route.required <= asked.keys() | environ.keys()
    ]
    return min(fitting)[3] if fitting else ""


@dataclass(frozen=True)
class _Route:
    name: str
    method: str
    pattern: re.Pattern[str]
    literals: Mapping[str, str]
    required: frozenset[str]
    parameters: int


@cache
def _routes(service: str) -> tuple[_Route, ...]:
    session = botocore.session.get_session()
    if service not in session.get_available_services():
        return ()
    model = session.get_service_model(service)
    return tuple(_route(model.operation_model(name)) for name in model.operation_names)


def _route(operation: Any) -> _Route:
    path, _, query = operation.http["requestUri"].partition("?")
    parts = re.split(r"(\{[^}]+\})", path)
    pattern = "".join(
        re.escape(part) if not part.startswith("{") else (".+" if "+" in part else "[^/]+")
        for part in parts
    )
    literals = {key: values[0] for key, values in parse_qs(query, keep_blank_values=True).items()}
    return _Route(
        operation.name,
        operation.http["method"],
        re.compile(f"{pattern}/?"),
        literals,
        frozenset(_required(operation.input_shape)),
        path.count("{"),
    )


def _required(shape: Any) -> Iterator[str]:
    """What must be in the query, or among the headers (as WSGI names them)."""
    for name in shape.required_members if shape else ():
        told = shape.members[name].serialization
        if told.get("location") == "querystring":
            yield told["name"]
        elif told.get("location") == "header":
            yield f"HTTP_{told['name'].upper().replace('-', '_')}"
