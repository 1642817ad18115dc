"""The audiences of an OpenID Connect provider can be changed: moto sets them at creation only.

Source: https://docs.aws.amazon.com/IAM/latest/APIReference/API_AddClientIDToOpenIDConnectProvider.html
"""

from __future__ import annotations

from typing import Any

from moto.core.responses import ActionResult, EmptyResult
from moto.iam.responses import IamResponse

from pocket.emulator.core.context import Context
from pocket.emulator.core.patching import add


def install(context: Context) -> None:
    """Give IAM the two operations."""
    add(IamResponse, add_client_id_to_open_id_connect_provider)
    add(IamResponse, remove_client_id_from_open_id_connect_provider)


def _audiences(request: IamResponse) -> list[str]:
    arn = request._get_param("OpenIDConnectProviderArn")
    provider: Any = request.backend.get_open_id_connect_provider(arn)
    audiences: list[str] = provider.client_id_list
    return audiences


def add_client_id_to_open_id_connect_provider(self: IamResponse) -> ActionResult:
    audiences, wanted = _audiences(self), self._get_param("ClientID")
    if wanted not in audiences:
        audiences.append(wanted)
    return EmptyResult()


def remove_client_id_from_open_id_connect_provider(self: IamResponse) -> ActionResult:
    audiences, unwanted = _audiences(self), self._get_param("ClientID")
    if unwanted in audiences:
        audiences.remove(unwanted)
    return EmptyResult()
