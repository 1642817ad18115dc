"""The version of this checkout: of the package, and of the images that are built from it."""

from __future__ import annotations

from typing import Final

VERSION: Final = "0.1.0"
