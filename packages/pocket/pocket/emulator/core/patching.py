"""Replacing a method of one of moto's classes, in a way that fails loudly when moto changes."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from types import ModuleType
from typing import Any


def replace(owner: type, name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A decorator: the function takes the place of `owner.name` and gets the original first.

    Raises:
        AttributeError: when the class has no such method (moto was changed).
    """
    original = getattr(owner, name)

    def put(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def method(self: Any, *args: Any, **kwargs: Any) -> Any:
            return function(original, self, *args, **kwargs)

        setattr(owner, name, method)
        return function

    return put


def add(owner: type, function: Callable[..., Any]) -> None:
    """Give a class a method that it lacks.

    Raises:
        AttributeError: when it has one by now: ours would hide it.
    """
    if hasattr(owner, function.__name__):
        raise AttributeError(f"{owner.__name__} already has {function.__name__}")
    setattr(owner, function.__name__, function)


def add_operations(owner: type, module: ModuleType) -> None:
    """Give a class each operation that a module defines: its public functions of a request, `self`.

    Raises:
        AttributeError: as `add`.
    """
    for name, function in vars(module).items():
        if name.startswith("_") or not inspect.isfunction(function):
            continue
        is_method = next(iter(inspect.signature(function).parameters), "") == "self"
        if is_method and function.__module__ == module.__name__:
            add(owner, function)
