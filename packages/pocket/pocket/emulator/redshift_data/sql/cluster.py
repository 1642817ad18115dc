"""Words that only concern Redshift's cluster: distribution, sorting, encodings, backup."""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot.tokenizer_core import Token, TokenType


def without_cluster_words(text: str, tokens: Sequence[Token]) -> str:
    """The statement without distribution, sorting, encodings and backup: nothing to distribute."""
    cuts: list[tuple[int, int]] = []
    at = 0
    while at < len(tokens):
        length = _cluster_words(tokens, at)
        if length:
            cuts.append((tokens[at].start, tokens[at + length - 1].end + 1))
        at += length or 1
    end = tokens[-1].end + 1
    kept, position = [], tokens[0].start
    for start, stop in cuts:
        kept.append(text[position:start])
        position = stop
    return " ".join([*kept, text[position:end]])


def _cluster_words(tokens: Sequence[Token], at: int) -> int:
    """How many tokens from here on only concern the cluster."""
    word = tokens[at].text.upper()
    following = tokens[at + 1].text.upper() if at + 1 < len(tokens) else ""
    if word in ("COMPOUND", "INTERLEAVED") and following == "SORTKEY":
        return 1 + _cluster_words(tokens, at + 1)
    if word in ("DISTKEY", "SORTKEY"):
        return 1 + _in_brackets(tokens, at + 1)
    if word == "SORTKEY" or (word == "DISTSTYLE" and following):
        return 2
    if word == "ENCODE" and following and at and tokens[at - 1].text not in (",", "("):
        return 2
    if word == "BACKUP" and following in ("YES", "NO"):
        return 2
    if word == "WITH" and [t.text.upper() for t in tokens[at + 1 : at + 4]] == [
        "NO",
        "SCHEMA",
        "BINDING",
    ]:
        return 4
    return 0


def _in_brackets(tokens: Sequence[Token], at: int) -> int:
    """The number of tokens of a bracketed list that begins here; 0 when none does."""
    if at >= len(tokens) or tokens[at].token_type is not TokenType.L_PAREN:
        return 0
    for end in range(at, len(tokens)):
        if tokens[end].token_type is TokenType.R_PAREN:
            return end - at + 1
    return 0
