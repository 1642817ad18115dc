"""S3's intelligent tiering: which objects may move to archive tiers. moto lacks it.

The configuration is kept as the client wrote it and given back so: nothing on a laptop is ever
archived.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketIntelligentTieringConfiguration.html
"""

from __future__ import annotations

from typing import Any

from moto.s3.exceptions import S3ClientError
from moto.s3.models import FakeBucket
from moto.s3.responses import S3Response

from pocket.emulator.core.context import Context
from pocket.emulator.core.patching import replace

_QUERY = "intelligent-tiering"
_KEPT = "pocket_tiering"


class NoSuchConfigurationError(S3ClientError):
    """There is no configuration of that name."""

    code = "NoSuchConfiguration"

    def __init__(self) -> None:
        super().__init__("NoSuchConfiguration", "The specified configuration does not exist.")


def install(context: Context) -> None:
    """Answer requests for the sub-resource ``intelligent-tiering`` of a bucket."""

    @replace(S3Response, "_bucket_response_get")
    def get(original: Any, self: S3Response, bucket_name: str, querystring: Any) -> Any:
        if _QUERY not in querystring:
            return original(self, bucket_name, querystring)
        _authorize(self, bucket_name, "GetIntelligentTieringConfiguration")
        kept = _configurations(self, bucket_name)
        if "id" in querystring:
            return 200, {}, _found(kept, querystring)
        entries = "".join(text.partition("?>")[2] or text for text in kept.values())
        listing = "ListBucketIntelligentTieringConfigurationsOutput"
        return 200, {}, f"<{listing}><IsTruncated>false</IsTruncated>{entries}</{listing}>"

    @replace(S3Response, "_bucket_response_put")
    def put(
        original: Any, self: S3Response, request: Any, bucket_name: str, querystring: Any
    ) -> Any:
        if _QUERY not in querystring:
            return original(self, request, bucket_name, querystring)
        _authorize(self, bucket_name, "PutIntelligentTieringConfiguration")
        body = self.body.decode() if isinstance(self.body, bytes) else self.body
        _configurations(self, bucket_name)[querystring["id"][0]] = body
        return 200, {}, ""

    @replace(S3Response, "_bucket_response_delete")
    def delete(original: Any, self: S3Response, bucket_name: str, querystring: Any) -> Any:
        if _QUERY not in querystring:
            return original(self, bucket_name, querystring)
        _authorize(self, bucket_name, "PutIntelligentTieringConfiguration")
        kept = _configurations(self, bucket_name)
        _found(kept, querystring)
        del kept[querystring["id"][0]]
        return 204, {}, ""


def _authorize(request: S3Response, bucket_name: str, action: str) -> None:
    request.data["Action"] = action
    request._authenticate_and_authorize_s3_action(bucket_name=bucket_name)


def _configurations(request: S3Response, bucket_name: str) -> dict[str, str]:
    bucket: FakeBucket = request.backend.get_bucket(bucket_name)
    kept: dict[str, str] = bucket.__dict__.setdefault(_KEPT, {})
    return kept


def _found(kept: dict[str, str], querystring: Any) -> str:
    name = querystring["id"][0]
    if name not in kept:
        raise NoSuchConfigurationError
    return kept[name]
