"""The tags of every type: what a resource shall have, what it has, and writing the difference."""

from collections.abc import Iterable, Mapping
from typing import Any

import jmespath

from pocket.provider.requests import find_description, operation_model
from pocket.provider.resource import URN_TAG, Call, Subject, Tags
from pocket.provider.shapes import tags_to_map
from pocket.provider.values import Properties


def wanted_tags(subject: Subject) -> dict[str, str]:
    """The tags to set at AWS: the resource's and the provider's, and the URN where no name
    identifies it.
    """
    tags = dict(subject.inputs.get("tagsAll") or subject.inputs.get("tags") or {})
    if subject.row.identity is None and subject.urn:
        tags[URN_TAG] = subject.urn[-256:]
    return tags


def tag_parameter(shape: Any, tags: Mapping[str, str], kind: str = "") -> Any:
    """Tags in the form that the shape of a parameter asks for."""
    if shape.type_name == "map":
        return dict(tags)
    members = shape.member.members
    if "ResourceType" in members:
        return [{"ResourceType": kind, "Tags": _pairs(tags, members["Tags"].member.members)}]
    return _pairs(tags, members)


def _pairs(tags: Mapping[str, str], members: Iterable[str]) -> list[dict[str, str]]:
    key = next(member for member in members if member.lower() in ("key", "tagkey"))
    value = next(member for member in members if member.lower() in ("value", "tagvalue"))
    return [{key: name, value: text} for name, text in tags.items()]


def creation_tags(subject: Subject, call: Call) -> dict[str, Any]:
    api, tags = subject.row.tags, wanted_tags(subject)
    if api is None or not api.at_creation or not tags:
        return {}
    shape = operation_model(subject.aws, call, subject.row).input_shape
    return {api.at_creation: tag_parameter(shape.members[api.at_creation], tags, api.kind)}


def write_tags(subject: Subject, api: Tags, existing: Mapping[str, str]) -> None:
    """Make the tags at AWS the wanted ones."""
    if api.write is not None:
        api.write(subject)
        return
    wanted = wanted_tags(subject)
    identity = api.identity(subject)
    client = subject.client()
    gone = [key for key in existing if key not in wanted and not key.startswith("aws:")]
    if gone:
        model = operation_model(subject.aws, Call(operation=api.remove), subject.row).input_shape
        member = model.members[api.remove_member]
        plain_keys = member.type_name != "list" or member.member.type_name == "string"
        keys = gone if plain_keys else [{"Key": key} for key in gone]
        parameters = {api.target: _targeted(model, api, identity), api.remove_member: keys}
        getattr(client, api.remove)(**parameters)
    if wanted:
        model = operation_model(subject.aws, Call(operation=api.put), subject.row).input_shape
        tags = tag_parameter(model.members[api.put_member], wanted)
        getattr(client, api.put)(
            **{api.target: _targeted(model, api, identity), api.put_member: tags}
        )


def _targeted(shape: Any, api: Tags, identity: Any) -> Any:
    return [identity] if shape.members[api.target].type_name == "list" else identity


def read_tags(subject: Subject, api: Tags, description: Any) -> dict[str, str]:
    if api.read is not None:
        raw = find_description(subject, api.read)
    else:
        raw = jmespath.search(api.path, description)
    tags = raw if isinstance(raw, dict) else tags_to_map(raw or [])
    return {key: value for key, value in tags.items() if not key.startswith("aws:")}


def tag_outputs(subject: Subject, found: Mapping[str, str]) -> Properties:
    everything = {key: value for key, value in found.items() if key != URN_TAG}
    defaults, asked = subject.aws.settings.default_tags, subject.get("tags") or {}
    own = {
        key: value
        for key, value in everything.items()
        if key in asked or defaults.get(key) != value
    }
    return {"tags": own or None, "tagsAll": everything}
