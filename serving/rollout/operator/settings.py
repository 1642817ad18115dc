"""Where the operator works: options of its command line, or MILLWRIGHT_* of its environment."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from pydantic import AliasChoices, Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from contracts.document import explain
from contracts.errors import UsageError
from serving.rollout.pods import IMAGE

PREFIX = "MILLWRIGHT_"


class OperatorSettings(BaseSettings):
    """Where the operator works."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_ignore_empty=True,
        populate_by_name=True,
        use_attribute_docstrings=True,
        frozen=True,
        extra="ignore",
    )

    prometheus: str = ""
    """URL of Prometheus, such as http://prometheus.monitoring:9090"""
    mlflow: str = Field(
        default="",
        validation_alias=AliasChoices(f"{PREFIX}MLFLOW", "MLFLOW_TRACKING_URI"),
    )
    """URL of MLflow, whose aliases follow the rollouts; MLFLOW_TRACKING_URI"""
    namespace: str | None = None
    """serve this namespace only; all when left out"""
    kubeconfig: str | None = None
    """file that names the cluster; left out: the pod's own account"""
    context: str | None = None
    """context in it"""
    image: str = IMAGE
    """the model server's image where a ModelRollout names none"""
    origins: str = ""
    """origins whose web pages may ask the model servers, with blanks between"""
    listen: str = "127.0.0.1:8080"
    """address of /metrics and /healthz"""

    @field_validator("prometheus", "mlflow")
    @classmethod
    def url(cls, address: str) -> str:
        """An address of a server, or nothing."""
        if address and not address.startswith(("http://", "https://")):
            raise ValueError(f"{address!r} is no URL; write http://host:port")
        return address

    @field_validator("listen")
    @classmethod
    def host_and_port(cls, listen: str) -> str:
        """Host and port; the host may be left out."""
        port = listen.rpartition(":")[2]
        if not port.isascii() or not port.isdigit() or int(port) > 65535:
            raise ValueError(f"{listen!r} is no address; write host:port, such as 0.0.0.0:8080")
        return listen


def read(argv: Sequence[str] | None = None) -> OperatorSettings:
    """The settings of the command line, and of the environment where it says nothing.

    Raises:
        UsageError: one of them is wrong; a sentence for each.
    """
    parser = argparse.ArgumentParser(prog="python -m serving.rollout.operator")
    for name, field in OperatorSettings.model_fields.items():
        parser.add_argument(f"--{name}", help=field.description)
    options = {name: text for name, text in vars(parser.parse_args(argv)).items() if text}
    try:
        settings = OperatorSettings(**options)
    except ValidationError as error:
        raise UsageError(
            "the operator's settings are wrong",
            where=f"its options, or {PREFIX}* in its environment",
            fix="; ".join(explain(detail, OperatorSettings) for detail in error.errors()),
        ) from None
    if not settings.prometheus:
        raise UsageError(
            "--prometheus (or MILLWRIGHT_PROMETHEUS) is needed: no telemetry, no verdict",
            fix=f"Write {OperatorSettings.model_fields['prometheus'].description}.",
        )
    return settings
