"""The API of a Kubeflow Pipelines server (v2beta1), with its answers and refusals in our words.

Source: https://www.kubeflow.org/docs/components/pipelines/reference/api/kubeflow-pipeline-api-spec/
"""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from contracts.errors import PipelineError
from pipelines.following import AwayError

TIMEOUT = (5, 30)
"""Seconds to connect, and to wait for an answer."""
MOST = 200
"""Entries in a page: what the server allows."""
AWAY = (502, 503, 504)
"""Whoever stands before the server does not reach it."""
SIGN_IN = (401, 403)
FIXES = {
    401: "Sign in, or name an address that needs no sign-in with --kfp URL.",
    403: "Sign in as somebody who may, or name another server with --kfp URL.",
    404: "Is this the address of a Kubeflow Pipelines API?",
}


class RefusedError(PipelineError):
    """The server refused; ``status`` is HTTP's, 0 where there was none."""

    def __init__(self, what: str, *, status: int, where: str = "", fix: str = "") -> None:
        super().__init__(what, where=where, fix=fix)
        self.status = status


@dataclass(frozen=True)
class Server:
    """A Kubeflow Pipelines API.

    Args:
        url: its address, without a trailing slash.
    """

    url: str

    @cached_property
    def client(self) -> Any:
        """Kubeflow's own client, which knows the ways to sign in; made here because its import
        takes a second.

        Raises:
            AwayError: the server does not answer.
            RefusedError: it refuses, or is no Kubeflow Pipelines API.
        """
        from kfp import client

        with self._explained(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # Given a namespace, the client does not ask for the server's health itself, five times
            # and five seconds apart. No call of ours names one.
            made = client.Client(host=self.url, namespace="default")
            made.healthzs.healthz_service_get_healthz(_request_timeout=TIMEOUT)
        return made

    def call(self, method: str, /, **arguments: Any) -> Any:
        """A method of the API, such as ``runs.run_service_get_run``.

        Raises:
            AwayError: the server does not answer.
            RefusedError: it refuses, with its own reason.
        """
        group, _, name = method.partition(".")
        function: Callable[..., Any] = getattr(getattr(self.client, group), name)
        with self._explained():
            return function(**arguments, _request_timeout=TIMEOUT)

    def matching(self, method: str, field: str, /, key: str, value: str, **more: Any) -> list[Any]:
        """Of what a listing gives, the entries of which a field is a value, newest first."""
        predicate = {"key": key, "operation": "EQUALS", "stringValue": value}
        answer = self.call(
            method,
            filter=json.dumps({"predicates": [predicate]}),
            page_size=MOST,
            sort_by="created_at desc",
            **more,
        )
        return list(getattr(answer, field) or ())

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """What the client raises, as an error for a person."""
        from kfp_server_api.exceptions import ApiException, OpenApiException
        from urllib3.exceptions import HTTPError

        noise = logging.getLogger("urllib3.connectionpool")
        level = noise.level
        noise.setLevel(logging.ERROR)
        try:
            yield
        except ApiException as error:
            status = int(error.status or 0)
            if status in AWAY:
                raise self._away(reason(error)) from error
            raise RefusedError(
                f"the pipelines server refused: {reason(error)}",
                status=status,
                where=self.url,
                fix=FIXES.get(status, "") if status in SIGN_IN or not words_of(error) else "",
            ) from error
        except (OpenApiException, json.JSONDecodeError, ValueError) as error:
            raise RefusedError(
                f"the answer is not a Kubeflow Pipelines API's: {error}",
                status=0,
                where=self.url,
                fix=FIXES[404],
            ) from error
        except (HTTPError, OSError, TimeoutError) as error:
            raise self._away(cause(error)) from error
        finally:
            noise.setLevel(level)

    def _away(self, why: str) -> AwayError:
        return AwayError(
            f"the pipelines server does not answer: {why}",
            where=self.url,
            fix="Is it up, and its address right? --kfp URL names another.",
        )


def words_of(error: Any) -> str:
    """What the server says in the body of a refusal; empty where it says nothing of its own.

    The API answers ``{"error": …, "code": …, "message": …}``, the upload of pipelines
    ``{"error_message": …, "error_details": …}``, and what stands before it a page or a line.
    """
    body = error.body or ""
    text = body.decode("utf-8", "replace") if isinstance(body, bytes) else str(body)
    try:
        said = json.loads(text)
    except ValueError:
        return ""
    keys = ("error_message", "message", "error") if isinstance(said, dict) else ()
    sentences = (" ".join(str(said.get(key) or "").split()) for key in keys)
    return next(filter(None, sentences), "")


def reason(error: Any) -> str:
    """Why the server refused, with HTTP's number; HTTP's phrase where it does not say itself."""
    return f"{words_of(error) or error.reason or 'it does not say why'} ({error.status})"


def cause(error: BaseException) -> str:
    """The last link of a chain of causes, which says what happened to the connection."""
    inner = getattr(error, "reason", None)
    while isinstance(inner, BaseException):
        error, inner = inner, getattr(inner, "reason", None)
    return str(error).rpartition(": ")[2] or type(error).__name__
