"""Symmetric keys of KMS are made at once: moto makes each an RSA key beside, which nothing can use.

That is a tenth of a second and more of computing a key, in a server of one thread's strength.
"""

from __future__ import annotations

from typing import Any

from moto.kms import models
from moto.kms.utils import KeySpec

from pocket.emulator.core.context import Context


def install(context: Context) -> None:
    """Make private keys for those keys alone that have one."""
    module: Any = models
    original = module.generate_private_key
    asymmetric = {*KeySpec.rsa_key_specs(), *KeySpec.ecc_key_specs()}

    def generate_private_key(key_spec: str) -> Any:
        return original(key_spec) if key_spec in asymmetric else None

    module.generate_private_key = generate_private_key
