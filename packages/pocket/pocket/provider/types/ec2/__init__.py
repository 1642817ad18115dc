"""EC2's network: VPCs, subnets, gateways, routes, endpoints, security groups and flow logs."""

from pocket.provider.types.ec2.endpoints import VPC_ENDPOINT
from pocket.provider.types.ec2.flow_logs import FLOW_LOG
from pocket.provider.types.ec2.gateways import ELASTIC_IP, INTERNET_GATEWAY, NAT_GATEWAY
from pocket.provider.types.ec2.routes import ROUTE, ROUTE_TABLE, ROUTE_TABLE_ASSOCIATION
from pocket.provider.types.ec2.security_group_rules import rule_type
from pocket.provider.types.ec2.security_groups import DEFAULT_SECURITY_GROUP, SECURITY_GROUP
from pocket.provider.types.ec2.vpcs import SUBNET, VPC

TYPES = (
    VPC,
    SUBNET,
    INTERNET_GATEWAY,
    ELASTIC_IP,
    NAT_GATEWAY,
    ROUTE_TABLE,
    ROUTE,
    ROUTE_TABLE_ASSOCIATION,
    VPC_ENDPOINT,
    SECURITY_GROUP,
    DEFAULT_SECURITY_GROUP,
    rule_type("ingress"),
    rule_type("egress"),
    FLOW_LOG,
)
