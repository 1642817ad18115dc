"""ElastiCache's refusals."""

from __future__ import annotations

from moto.elasticache.exceptions import ElastiCacheException


def refusal(code: str, message: str) -> ElastiCacheException:
    return ElastiCacheException(code, message)
