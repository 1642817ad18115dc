"""What AWS refuses though it has the right type: each rule with where AWS says so.

A deployment that AWS refuses half-way is found after a hundred resources; what stands here is found
before the first. Where botocore's model of the API has the rule as well, a test compares the two.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

REFERENCE: Final = "https://docs.aws.amazon.com"


@dataclass(frozen=True, kw_only=True)
class Limit:
    """How long something may be, or how many of it there may be."""

    what: str
    source: str
    """Where AWS says so."""
    least: int
    most: int
    shape: tuple[str, str] | None = None
    """The same rule in botocore: the service and the shape."""

    def holds(self, length: int) -> bool:
        """Whether a length is within it."""
        return self.least <= length <= self.most


LIMITS: Final = {
    limit.what: limit
    for limit in (
        Limit(
            what="tag key",
            source=f"{REFERENCE}/IAM/latest/APIReference/API_Tag.html",
            shape=("iam", "tagKeyType"),
            least=1,
            most=128,
        ),
        Limit(
            what="tag value",
            source=f"{REFERENCE}/IAM/latest/APIReference/API_Tag.html",
            shape=("iam", "tagValueType"),
            least=0,
            most=256,
        ),
        Limit(
            what="node label key",
            source=f"{REFERENCE}/eks/latest/APIReference/API_CreateNodegroup.html",
            shape=("eks", "labelKey"),
            least=1,
            most=63,
        ),
        Limit(
            what="node label value",
            source=f"{REFERENCE}/eks/latest/APIReference/API_CreateNodegroup.html",
            shape=("eks", "labelValue"),
            least=1,
            most=63,
        ),
        Limit(
            what="taint key",
            source=f"{REFERENCE}/eks/latest/APIReference/API_Taint.html",
            shape=("eks", "taintKey"),
            least=1,
            most=63,
        ),
        Limit(
            what="taint value",
            source=f"{REFERENCE}/eks/latest/APIReference/API_Taint.html",
            shape=("eks", "taintValue"),
            least=0,
            most=63,
        ),
        Limit(
            what="taints",
            source=f"{REFERENCE}/eks/latest/userguide/node-taints-managed-node-groups.html",
            least=0,
            most=50,
        ),
        Limit(
            what="networks of the public endpoint",
            source=f"{REFERENCE}/eks/latest/userguide/service-quotas.html",
            least=0,
            most=40,
        ),
        Limit(
            what="budget subscribers",
            source=f"{REFERENCE}/aws-cost-management/latest/APIReference/"
            "API_budgets_NotificationWithSubscribers.html",
            shape=("budgets", "Subscribers"),
            least=1,
            most=11,
        ),
    )
}
"""Lengths and counts, by what they are of."""

TAG_MARKS: Final = frozenset("_.:/=+-@")
"""What tags take beside letters, digits and spaces (IAM's ``tagKeyType``, which is the narrowest
of the services')."""

RESERVED_LABELS: Final = ("kubernetes.io", "k8s.io", "eks.amazonaws.com")
"""Prefixes that EKS refuses in node groups' labels and taints, in their subdomains too
(https://github.com/aws/containers-roadmap/issues/1451)."""

REDSHIFT_DATABASES: Final = (
    *("template0", "template1", "padb_harvest", "sys", "information_schema"),
    *("dev_internal", "sys:internal", "awsdatacatalog"),
)
"""Databases that Redshift has already, or keeps for itself."""

WORDS: Final = (
    "aes128 aes256 all allowoverwrite analyse analyze and any array as asc authorization az64",
    "backup between binary blanksasnull both bytedict bzip2 case cast check collate column",
    "constraint create credentials cross current_date current_time current_timestamp",
    "current_user current_user_id default deferrable deflate defrag delta delta32k desc disable",
    "distinct do else emptyasnull enable encode encrypt encryption end except explicit false",
    "for foreign freeze from full globaldict256 globaldict64k grant group gzip having identity",
    "ignore ilike in initially inner intersect interval into is isnull join leading left like",
    "limit localtime localtimestamp lun luns lzo lzop minus mostly16 mostly32 mostly8 natural",
    "new not notnull null nulls off offline offset oid old on only open or order outer overlaps",
    "parallel partition percent permissions pivot placing primary raw readratio recover",
    "references rejectlog resort respect restore right select session_user similar snapshot",
    "some sysdate system table tag tdes text255 text32k then timestamp to top trailing true",
    "truncatecolumns type union unique unnest unpivot user using verbose wallet when where with",
    "without",
)
REDSHIFT_WORDS: Final = frozenset(word for row in WORDS for word in row.split())
"""Words that cannot name a database or a user
(https://docs.aws.amazon.com/redshift/latest/dg/r_pg_keywords.html)."""

REDSHIFT_USERS: Final = ("public", "rdsdb", "rdsadmin", "rdsrepladmin", "internal")
"""Beside those words, users that Redshift has already; CreateCluster refuses PUBLIC
(https://docs.aws.amazon.com/redshift/latest/APIReference/API_CreateCluster.html)."""


def within(what: str, text: str) -> str:
    """A text, if it is as long as AWS takes it.

    Raises:
        ValueError: it is longer or shorter.
    """
    limit = LIMITS[what]
    if not limit.holds(len(text)):
        raise ValueError(
            f"{text!r}: a {what} has {limit.least} to {limit.most} characters, not {len(text)}"
        )
    return text


def taggable(text: str) -> str:
    """A tag's key or value, if every service takes its characters.

    Raises:
        ValueError: a character is none of those.
    """
    for character in text:
        if unicodedata.category(character)[0] not in "LNZ" and character not in TAG_MARKS:
            raise ValueError(
                f"{text!r}: tags take letters, digits, spaces and {' '.join(sorted(TAG_MARKS))}, "
                f"not {character!r}"
            )
    return text


def unreserved(key: str) -> str:
    """A label's or a taint's key, if its prefix is free.

    Raises:
        ValueError: EKS keeps it.
    """
    domain, slash, _ = key.rpartition("/")
    for reserved in RESERVED_LABELS:
        if slash and (domain == reserved or domain.endswith(f".{reserved}")):
            raise ValueError(f"{key!r}: the prefix {reserved}/ is reserved; choose another")
    return key


def distinct(values: Iterable[str], what: str) -> None:
    """Refuse a list in which something is named twice, in whichever case.

    Raises:
        ValueError: something is.
    """
    seen: set[str] = set()
    for value in values:
        if value.casefold() in seen:
            raise ValueError(f"{what} {value!r} is named twice")
        seen.add(value.casefold())
