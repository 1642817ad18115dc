"""The checkout's own content, as tests need it: its datasets, and the code of one of them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

from contracts.dataset import DatasetSpec
from contracts.errors import DataError
from data.content import run_file

ROOT = Path(__file__).parents[1]
DATASETS = ROOT / "datasets"
MODELS = ROOT / "models"
HOSTILE = "a b%3F?#ü"
"""A folder's name that means something in addresses and patterns."""


def flights() -> DatasetSpec:
    """The flights' document."""
    return DatasetSpec.find(DATASETS, "flights")


def flights_loader() -> SimpleNamespace:
    """What the flights' ``load.py`` defines."""
    return SimpleNamespace(**run_file(DATASETS / "flights" / "load.py", raises=DataError))
