"""What the rows of EC2 share: names of operations, tags, and finding by a tag.

Nothing of EC2 has a name that AWS keeps unique, so each is tagged with its URN at creation, and
what a crash left behind is found by that tag; associations are found by what they join.
"""

from typing import Any

from pocket.provider.resource import (
    URN_TAG,
    Call,
    Facet,
    Hook,
    Read,
    ResourceType,
    Subject,
    Tags,
    the_id,
)

DEFAULT_DESCRIPTION = "Managed by Pulumi"


def tagged(kind: str) -> Tags:
    return Tags(
        at_creation="TagSpecifications",
        put="create_tags",
        remove="delete_tags",
        target="Resources",
        remove_member="Tags",
        identity=the_id,
        kind=kind,
    )


def find_tagged(operation: str, path: str, states: tuple[str, ...] = ()) -> Hook:
    """A search among what ``operation`` lists for the one that carries the URN and is not on its
    way out.
    """

    def find(subject: Subject) -> str | None:
        filters = [{"Name": f"tag:{URN_TAG}", "Values": [subject.urn[-256:]]}]
        names = {"describe_nat_gateways": "Filter", "describe_flow_logs": "Filter"}
        response = getattr(subject.client(), operation)(
            **{names.get(operation, "Filters"): filters}
        )
        group, key = path.split(".")
        living = [entry for entry in response[group] if entry.get("State") not in states]
        return str(living[0][key]) if living else None

    return find


def described_by(operation: str, parameter: str, group: str, absent: tuple[str, ...] = ()) -> Read:
    return Read(
        operation=operation, params={parameter: lambda s: [s.id]}, path=f"{group}[0]", absent=absent
    )


def simple(name: str, thing: str, *, kind: str = "", **more: Any) -> ResourceType:
    """The common form: ``create_x``, ``describe_xs`` and ``delete_x`` around an ``XId``."""
    snake = "".join(f"_{c.lower()}" if c.isupper() else c for c in thing).lstrip("_")
    settings: dict[str, Any] = {
        "create": Call(operation=f"create_{snake}"),
        "id_path": f"{thing}.{thing}Id",
        "find": find_tagged(f"describe_{snake}s", f"{thing}s.{thing}Id"),
        "read": described_by(f"describe_{snake}s", f"{thing}Ids", f"{thing}s"),
        "delete": Call(operation=f"delete_{snake}", params={f"{thing}Id": the_id}),
        "tags": tagged(kind or snake.replace("_", "-")),
    }
    return ResourceType(token=token(name), service="ec2", **{**settings, **more})


def token(name: str, module: str = "ec2") -> str:
    return f"aws:{module}/{name[0].lower()}{name[1:]}:{name}"


def _arn(kind: str) -> Any:
    return lambda subject: {"arn": subject.arn(f"{kind}/{subject.id}")}


def attribute(name: str, operation: str, target: str, member: str = "") -> Facet:
    """A boolean that its own call of Modify…Attribute sets."""
    member = member or f"{name[0].upper()}{name[1:]}"
    return Facet(
        properties=(name,),
        put=Call(
            operation=operation,
            params={target: the_id, member: lambda s: {"Value": bool(s.inputs.get(name))}},
            properties=(),
        ),
    )
