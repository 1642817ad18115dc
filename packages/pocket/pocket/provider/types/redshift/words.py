"""Redshift's words: kinds of nodes, reserved names, tags and ARNs."""

from typing import Any

from pocket.provider import rules
from pocket.provider.resource import Subject, Tags, the_id

NODE_TYPES = [
    "ra3.large",
    "ra3.xlplus",
    "ra3.4xlarge",
    "ra3.16xlarge",
    "dc2.large",
    "dc2.8xlarge",
    "ds2.xlarge",
    "ds2.8xlarge",
    "rg.xlarge",
    "rg.4xlarge",
]
SINGLE_REFUSED = ("ra3.4xlarge", "ra3.16xlarge", "dc2.8xlarge", "ds2.8xlarge", "rg.4xlarge")
RESERVED = frozenset(
    [
        "all",
        "analyse",
        "analyze",
        "and",
        "any",
        "array",
        "as",
        "asc",
        "authorization",
        "between",
        "binary",
        "both",
        "case",
        "cast",
        "check",
        "column",
        "constraint",
        "create",
        "cross",
        "current_date",
        "default",
        "desc",
        "distinct",
        "do",
        "else",
        "end",
        "except",
        "false",
        "for",
        "foreign",
        "freeze",
        "from",
        "full",
        "grant",
        "group",
        "having",
        "in",
        "inner",
        "into",
        "is",
        "join",
        "leading",
        "left",
        "like",
        "limit",
        "new",
        "not",
        "null",
        "off",
        "offset",
        "old",
        "on",
        "only",
        "open",
        "or",
        "order",
        "outer",
        "primary",
        "references",
        "right",
        "select",
        "session_user",
        "some",
        "sysdate",
        "system",
        "table",
        "tag",
        "then",
        "to",
        "top",
        "trailing",
        "true",
        "union",
        "unique",
        "user",
        "using",
        "when",
        "where",
        "with",
    ]
)
OF_CLUSTER = {"ClusterIdentifier": the_id}


def tagged(kind: str) -> Tags:
    """Redshift's tags: added and removed by ARN, read in the description."""

    def arn(subject: Subject) -> str:
        return subject.arn(f"{kind}:{subject.id}")

    return Tags(put="create_tags", remove="delete_tags", target="ResourceName", identity=arn)


def arn(kind: str) -> Any:
    return lambda subject, found: {"arn": subject.arn(f"{kind}:{subject.id}")}


GROUP_NAME = rules.text(
    "name",
    r"(?!.*--)(?!default$)[a-z][a-z0-9.-]*[a-z0-9]|[a-z]",
    "the name is lower-case letters, digits and hyphens, begins with a letter and has no two"
    " hyphens in a row",
)
