"""Which datatypes a request may send for another: those whose every value the model's can hold.

A caller whose numbers are of 16 bits need not know that the model reads 32. What could lose
anything is refused: a number that is silently rounded is another number.
"""

from __future__ import annotations

from typing import Final

from contracts.artifact import Datatype

_BITS: Final[dict[str, int]] = {"FP16": 11, "BF16": 8, "FP32": 24, "FP64": 53}
"""Of a whole number that a float holds exactly."""
_FLOATS: Final = {("FP16", "FP32"), ("BF16", "FP32"), ("FP32", "FP64")} | {
    (small, "FP64") for small in ("FP16", "BF16")
}


def widens(sent: str, own: Datatype) -> bool:
    """Whether each value of one datatype is one of the other's.

    Args:
        sent: the datatype that a request says; any text.
        own: the model's.
    """
    if (sent, own) in _FLOATS:
        return True
    signed, bits = _whole(sent)
    if not bits:
        return False
    if own in _BITS:
        return bits <= _BITS[own]
    to_signed, to_bits = _whole(own)
    return bits <= to_bits and (to_signed or not signed)


def _whole(datatype: str) -> tuple[bool, int]:
    """Whether a datatype of whole numbers has negative ones, and the bits of its largest; no bits
    for any other."""
    kind, _, size = datatype.partition("INT")
    if kind not in ("", "U") or size not in ("8", "16", "32", "64"):
        return False, 0
    return not kind, int(size) - (not kind)
