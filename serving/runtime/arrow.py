"""Batches of rows as Arrow: a stream of record batches in place of JSON at ``predict``.

A million rows are some milliseconds to read as Arrow and a second as JSON. pyarrow is no part of
the runtime's image (it is larger than everything else there together); where somebody has added it,
it is imported when the first such request comes, and where not that is said (415).

The columns are features by name, as in all that ``predict`` takes, and numbers are converted by
value (`serving.runtime.forms`). What comes is not trusted: buffers are checked in full before they
are read, compressed ones are refused (a small body would become a large one), and so are more rows
than the body could hold.

Source: https://arrow.apache.org/docs/format/Columnar.html#ipc-streaming-format.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from contracts.document import suggest
from serving.runtime import forms
from serving.runtime.binary import Array
from serving.runtime.refusal import Refusal, shown
from serving.runtime.requests import InferRequest, MessageInput, RequestInput
from serving.runtime.tensors import Findings, InputSignature, Signature

if TYPE_CHECKING:
    import pyarrow as pa

TYPE = b"application/vnd.apache.arrow.stream"
LINE = b"content-type: %b\r\n" % TYPE
_DENSEST = 8
"""Rows for each byte, at most: a column has a bit for each."""
_DATATYPES = {
    "bool": "BOOL",
    "halffloat": "FP16",
    "float": "FP32",
    "double": "FP64",
    **{f"int{bits}": f"INT{bits}" for bits in (8, 16, 32, 64)},
    **{f"uint{bits}": f"UINT{bits}" for bits in (8, 16, 32, 64)},
}


def is_arrow(headers: Mapping[bytes, bytes]) -> bool:
    """Whether a request's body is Arrow."""
    return headers.get(b"content-type", b"").lower().startswith(TYPE)


def is_wanted(headers: Mapping[bytes, bytes]) -> bool:
    """Whether a request's answer is to be Arrow."""
    return TYPE in headers.get(b"accept", b"").lower()


def library() -> Any:
    """pyarrow.

    Raises:
        Refusal: it is not here (415).
    """
    try:
        import pyarrow
        import pyarrow.ipc
    except ImportError:
        raise Refusal(
            415,
            "this server does not read Arrow, as it has no pyarrow",
            fix="send JSON, or add pyarrow to the image's packages",
        ) from None
    return pyarrow


def request_of(body: bytes, signature: Signature) -> InferRequest:
    """The inference that a stream asks for.

    Args:
        body: the stream.
        signature: the model's.

    Raises:
        Refusal: it is no stream, or holds what the model does not take (400), or cannot be read
            here (415).
    """
    arrow = library()
    try:
        return InferRequest(_inputs(arrow, _table(arrow, body), len(body), signature))
    except (arrow.ArrowException, OSError, struct.error, IndexError, UnicodeDecodeError) as error:
        # The last: a column's name that is no text is found only where it is read.
        first = str(error).partition("\n")[0][:300]
        raise Refusal(400, f"the body is no stream of Arrow: {first}") from None


def _inputs(arrow: Any, table: pa.Table, size: int, signature: Signature) -> list[RequestInput]:
    """The columns, of a stream of that many bytes."""
    if not 0 < table.num_rows <= _DENSEST * size:
        raise Refusal(400, f"the stream has {table.num_rows} rows in {size} bytes")
    names = table.column_names
    if len(set(names)) < len(names):
        raise Refusal(400, "the stream has two columns of one name")
    return [_input(arrow, name, table.column(name), signature.inputs) for name in names]


def _table(arrow: Any, body: bytes) -> pa.Table:
    """The stream's rows, checked."""
    source = arrow.BufferReader(body)
    while True:
        try:
            message = arrow.ipc.read_message(source)
        except EOFError:
            break
        if message is None:
            break
        if _is_compressed(message.metadata.to_pybytes()):
            raise Refusal(
                400,
                "the stream's buffers are compressed",
                fix="write it without, and compress the whole body (content-encoding: gzip)",
            )
    with arrow.ipc.open_stream(arrow.BufferReader(body)) as stream:
        table = stream.read_all()
    table.validate(full=True)
    return table


def _is_compressed(message: bytes) -> bool:
    """Whether a message says that its buffers are, by the tables of its flatbuffer: a message's
    header is field 2, of a dictionary's the batch is field 1, a batch's compression is field 3.

    Source: https://github.com/apache/arrow/blob/main/format/Message.fbs.
    """

    def place(table: int, field: int) -> int:
        """Where a field of a table is; 0 where it is left out."""
        entries = table - struct.unpack_from("<i", message, table)[0]
        size = struct.unpack_from("<H", message, entries)[0]
        at = 4 + 2 * field
        offset = struct.unpack_from("<H", message, entries + at)[0] if at < size else 0
        return table + offset if offset else 0

    def follow(at: int) -> int:
        return at + int(struct.unpack_from("<I", message, at)[0])

    root = follow(0)
    kind_at, header_at = place(root, 1), place(root, 2)
    kind = message[kind_at] if kind_at else 0
    if kind not in (2, 3) or not header_at:  # neither a dictionary nor a batch
        return False
    batch = follow(header_at)
    if kind == 2:
        if not (at := place(batch, 1)):
            return False
        batch = follow(at)
    return place(batch, 3) != 0


def _input(arrow: Any, name: str, column: Any, known: Mapping[str, InputSignature]) -> MessageInput:
    """A column as the input of its name, or as what it is where the model has none."""
    own = known.get(name)
    width = 1
    kind = column.type
    if arrow.types.is_fixed_size_list(kind):
        width = kind.list_size
        if column.null_count or not width or own is None:
            raise Refusal(400, f"column {shown(name)} is {kind}, which is no feature")
        column = arrow.chunked_array([chunk.flatten() for chunk in column.chunks], kind.value_type)
    datatype, values = _values(arrow, name, column, own)
    shape = [len(values) // width, width]
    if own is None:
        if len(known) > 1:
            raise Refusal(
                400, f"there is no input {shown(name)}; {suggest(name[:100], sorted(known))}"
            )
        return MessageInput(name, shape, datatype, raw=values)
    if (datatype == "BYTES") != own.is_text:
        raise Refusal(
            400, f"column {shown(name)} is {kind}; expected {own.datatype}", fix="see the metadata"
        )
    if len(own.shape) == 1:
        shape = shape[:1]
    values = forms.converted(name, values, own, by_value=True)
    return MessageInput(name, shape, own.datatype, raw=values)


def _values(arrow: Any, name: str, column: Any, own: InputSignature | None) -> tuple[str, Array]:
    """A column's datatype and values; a missing number is NaN.

    Raises:
        Refusal: it is of a type that is no feature's, or lacks what may not be missing.
    """
    kind, types = column.type, arrow.types
    if types.is_dictionary(kind):
        is_text = types.is_string(kind.value_type) or types.is_large_string(kind.value_type)
        if not is_text:
            raise Refusal(400, f"column {shown(name)} is {kind}; expected texts by numbers")
        parts = [_looked_up(arrow, chunk) for chunk in column.chunks]
        return "BYTES", _filled(name, np.concatenate(parts), own)
    if types.is_string(kind) or types.is_large_string(kind):
        return "BYTES", _filled(name, np.array(column.to_pylist(), object), own)
    datatype = _DATATYPES.get(str(kind))
    if datatype is None:
        raise Refusal(
            400,
            f"column {shown(name)} is {kind}; expected numbers, texts, or true and false",
            fix="cast it, such as a time to seconds",
        )
    if column.null_count and datatype[:2] != "FP":
        column, datatype = column.cast(arrow.float64(), safe=True), "FP64"
    return datatype, np.array(column.to_numpy())


def _looked_up(arrow: Any, chunk: Any) -> Array:
    """Texts by their numbers in a dictionary; None for one that is missing."""
    texts = np.array([*chunk.dictionary.to_pylist(), None], object)
    places = chunk.indices.cast(arrow.int64()).fill_null(len(texts) - 1)
    chosen: Array = texts[places.to_numpy(zero_copy_only=False)]
    return chosen


def _filled(name: str, texts: Array, own: InputSignature | None) -> Array:
    """Texts, with what the model takes for a missing one where one is missing."""
    missing = texts == None  # noqa: E711  elementwise
    if missing.any():
        if own is None or not own.optional or not own.is_text:
            raise Refusal(400, f"column {shown(name)} lacks a text; it must not be missing")
        texts[missing] = own.missing(1).ravel()[0]
    return texts


def predictions(
    parameters: Mapping[str, str],
    classes: Sequence[Any],
    scores: Sequence[float],
    findings: Findings,
) -> bytes:
    """The answer: a stream with a prediction for each row, and its score where it is a class.

    Args:
        parameters: what the stream's schema says beside, such as the model's version.
        classes: each row's class or number.
        scores: each row's probability; empty where a prediction is no class.
        findings: what is odd about the request, which the schema says too, as JSON.
    """
    arrow = library()
    columns = {"prediction": arrow.array(classes)}
    if scores:
        columns["score"] = arrow.array(scores, arrow.float64())
    said = {kind: msgspec.json.encode(names).decode() for kind, names in findings.items()}
    table = arrow.table(columns).replace_schema_metadata({**parameters, **said})
    sink = arrow.BufferOutputStream()
    with arrow.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    body: bytes = sink.getvalue().to_pybytes()
    return body
