"""A stream has the tags that its creation came with: moto takes them and forgets them."""

from __future__ import annotations

from typing import Any

from moto.kinesis.responses import KinesisResponse

from pocket.emulator.core.context import Context
from pocket.emulator.core.patching import replace


def install(context: Context) -> None:
    """Tag a stream as it is created."""

    @replace(KinesisResponse, "create_stream")
    def create_stream(original: Any, self: KinesisResponse) -> Any:
        answer = original(self)
        if tags := self._get_param("Tags"):
            self.kinesis_backend.add_tags_to_stream(None, self._get_param("StreamName"), tags)
        return answer
