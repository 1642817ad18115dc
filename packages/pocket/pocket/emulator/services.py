"""The services that are corrected here, by the modules that do it.

A service's module is named after it, as boto3 names it, with underscores: `s3`, `redshift_data`. It
has an `install(context)`, called once before the service's first request; what moto lacks as a
whole has an `answer(request, states)` besides. A module that only works together with another
names it in `WITH`.

Modules are imported when their service is first used: together they import most of moto, and a
start should not wait for that.
"""

from __future__ import annotations

import importlib
import pkgutil
import threading
from collections.abc import Callable, Mapping
from functools import cached_property
from importlib.util import find_spec
from types import ModuleType
from typing import TYPE_CHECKING

from flask import Flask
from moto.moto_server.werkzeug_app import create_backend_app
from werkzeug.wrappers import Request, Response

from pocket import emulator
from pocket.emulator import transitions
from pocket.emulator.core.context import Context
from pocket.emulator.core.states import States

if TYPE_CHECKING:
    from moto.backends import SERVICE_NAMES

_NO_SERVICES = frozenset({"__main__", "core", "endpoints", "server", "services", "transitions"})
MODULES: Mapping[str, str] = {
    module.name.replace("_", ""): module.name
    for module in pkgutil.iter_modules(emulator.__path__)
    if module.name not in _NO_SERVICES
}
"""The modules by moto's names of their services, which have no separators."""
Answer = Callable[[Request, States], Response]


class Services:
    """Installs each service's corrections once, before the service answers first."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._lock = threading.RLock()
        self._installed: set[str] = set()
        self._passing: set[str] = set()

    def install(self, service: str) -> None:
        """Correct the service; for one that was restored too, so that it goes on as it was.

        Args:
            service: the name in any form: boto3's, moto's or a module's.
        """
        service = service.replace("-", "").replace("_", "")
        with self._lock:
            if service in MODULES:
                self._install_module(MODULES[service])
            if service not in self._passing:
                self._passing.add(service)
                transitions.install(self._context.states, service)

    def _install_module(self, name: str) -> None:
        if name in self._installed:
            return
        self._installed.add(name)
        module = _load(name)
        if hasattr(module, "install"):
            module.install(self._context)
        for other in getattr(module, "WITH", ()):
            self._install_module(other)

    def application(self, service: SERVICE_NAMES) -> Flask:
        """moto's application for a service, which lets errors through instead of HTML pages."""
        self.install(service)
        application = create_backend_app(service)
        application.config["PROPAGATE_EXCEPTIONS"] = True
        return application

    def own(self, signed_for: str) -> Answer | None:
        """What answers for a service that moto lacks as a whole; None for the others."""
        if signed_for not in self._own:
            return None
        self.install(signed_for)
        answer: Answer = _load(MODULES[signed_for.replace("-", "")]).answer
        return answer

    @cached_property
    def _own(self) -> frozenset[str]:
        """Their names in signatures."""
        return frozenset(
            name.replace("_", "-")
            for service, name in MODULES.items()
            if find_spec(f"moto.{service}") is None
        )


def _load(name: str) -> ModuleType:
    return importlib.import_module(f"{emulator.__name__}.{name}")
