"""Flow logs."""

from typing import Any

from pocket.provider import rules
from pocket.provider.resource import Call, Read, ResourceType, Subject
from pocket.provider.shapes import Problem
from pocket.provider.types.ec2.words import find_tagged, tagged, token
from pocket.provider.values import Properties

_FLOW_TARGETS = {
    "vpcId": "VPC",
    "subnetId": "Subnet",
    "eniId": "NetworkInterface",
    "transitGatewayId": "TransitGateway",
}


def _flow_target(subject: Subject) -> tuple[str, str]:
    return next(
        (kind, subject.inputs[name])
        for name, kind in _FLOW_TARGETS.items()
        if subject.inputs.get(name)
    )


def _flow_outputs(subject: Subject, found: Any) -> Properties:
    prefixes = {"vpc-": "vpcId", "subnet-": "subnetId", "eni-": "eniId", "tgw-": "transitGatewayId"}
    target = found["ResourceId"]
    name = next(prop for prefix, prop in prefixes.items() if target.startswith(prefix))
    return {
        "arn": subject.arn(f"vpc-flow-log/{subject.id}"),
        name: target,
        "iamRoleArn": found.get("DeliverLogsPermissionArn"),
        "logDestination": found.get("LogDestination")
        or subject.arn(f"log-group:{found['LogGroupName']}", "logs")
        if found.get("LogDestination") or found.get("LogGroupName")
        else None,
    }


FLOW_LOG = ResourceType(
    token=token("FlowLog"),
    service="ec2",
    create=Call(
        operation="create_flow_logs",
        params={
            "ResourceType": lambda s: _flow_target(s)[0],
            "ResourceIds": lambda s: [_flow_target(s)[1]],
        },
    ),
    id_path="FlowLogIds[0]",
    find=find_tagged("describe_flow_logs", "FlowLogs.FlowLogId"),
    read=Read(
        operation="describe_flow_logs", params={"FlowLogIds": lambda s: [s.id]}, path="FlowLogs[0]"
    ),
    delete=Call(operation="delete_flow_logs", params={"FlowLogIds": lambda s: [s.id]}),
    tags=tagged("vpc-flow-log"),
    names={"iamRoleArn": "DeliverLogsPermissionArn"},
    defaults={"logDestinationType": "cloud-watch-logs", "maxAggregationInterval": 600},
    filled=("logFormat",),
    outputs=_flow_outputs,
    rules=(
        rules.exactly_one(*_FLOW_TARGETS),
        rules.needs("vpcId", "trafficType", "ACCEPT, REJECT or ALL"),
        lambda inputs: (
            [Problem("maxAggregationInterval", "must be 60 or 600 seconds")]
            if inputs.get("maxAggregationInterval") not in (None, 60, 600)
            else ()
        ),
    ),
)
