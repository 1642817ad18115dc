"""The VPC: public, private and database subnets over the environment's zones.

Databases have no route to the internet at all; nodes reach out through NAT; what goes to S3 and
DynamoDB stays inside AWS through gateway endpoints, which cost nothing. The default security
group is emptied, so that nothing is reachable because someone forgot to choose one.

Where the environment names a VPC that is there already, none of this is made: what is put into its
subnets is the environment's, the network stays its owner's.
"""

from __future__ import annotations

from ipaddress import IPv4Network
from typing import Final

import pulumi
from pulumi_aws import ec2

from contracts.environment.network import ExistingNetwork
from infra.concern import AwsConcern, Outputs, Platform
from infra.keys import Keys
from infra.log_groups import log_group
from infra.policies import allow
from infra.roles import own_account, role
from infra.subnets import Kind, plan

EVERYWHERE: Final = "0.0.0.0/0"
HTTPS: Final = 443
GATEWAY_SERVICES: Final = ("s3", "dynamodb")
LOAD_BALANCERS: Final[dict[Kind, dict[str, str]]] = {
    "public": {"kubernetes.io/role/elb": "1"},
    "private": {"kubernetes.io/role/internal-elb": "1"},
}
"""Tags by which the cluster finds the subnets for its load balancers."""


class Network(AwsConcern):
    """VPC, subnets, routes, endpoints."""

    def __init__(self, platform: Platform) -> None:
        super().__init__("network", platform)
        self.settings = platform.environment.network
        self.zones = self.settings.zones
        self.vpc_id: pulumi.Output[str]
        self.placed: dict[Kind, dict[str, pulumi.Output[str]]]
        """The subnets by kind, and within it by what tells them apart: the zone, or the id."""
        if self.settings.existing:
            self._take(self.settings.existing)
        else:
            self._make()
        self._interfaces()
        if self.settings.flow_logs:
            self._flow_logs(platform[Keys].arns["logs"])
        self.register_outputs({})

    def _take(self, existing: ExistingNetwork) -> None:
        """Use what is there."""
        self.vpc_id = pulumi.Output.from_input(existing.vpc)
        named: dict[Kind, tuple[str, ...]] = {
            "private": existing.private_subnets,
            "public": existing.public_subnets,
            "database": existing.database_subnets,
        }
        self.placed = {
            kind: {subnet: pulumi.Output.from_input(subnet) for subnet in subnets}
            for kind, subnets in named.items()
        }

    def _make(self) -> None:
        """A VPC of the environment's own."""
        self.vpc_id = self._vpc().id
        self.subnets = {
            kind: {zone: self._subnet(kind, zone, block) for zone, block in blocks.items()}
            for kind, blocks in plan(IPv4Network(self.settings.cidr), self.zones).items()
        }
        self.placed = {
            kind: {zone: subnet.id for zone, subnet in subnets.items()}
            for kind, subnets in self.subnets.items()
        }
        self.route_tables = self._routes()
        self._endpoints()

    def outputs(self) -> Outputs:
        """Where things are."""
        return {
            "network": {
                "vpc_id": self.vpc_id,
                "public_subnet_ids": self.subnet_ids("public"),
                "private_subnet_ids": self.subnet_ids("private"),
                "database_subnet_ids": self.subnet_ids("database"),
            }
        }

    def subnet_ids(self, kind: Kind) -> list[pulumi.Output[str]]:
        """The subnets of a kind, in the order of the zones."""
        return list(self.placed[kind].values())

    def private_cidrs(self) -> list[str]:
        """The addresses of the private subnets."""
        if self.settings.existing:
            return list(self.settings.existing.private_cidrs or (self.settings.cidr,))
        blocks = plan(IPv4Network(self.settings.cidr), self.zones)["private"]
        return [str(block) for block in blocks.values()]

    def security_group(
        self, concern: AwsConcern, name: str, purpose: str, port: int
    ) -> ec2.SecurityGroup:
        """A group that lets the private subnets in at one port, and nothing out."""
        full = self.names.name(name)
        return ec2.SecurityGroup(
            name,
            name=full,
            description=purpose,
            vpc_id=self.vpc_id,
            ingress=[
                {
                    "description": "From the private subnets",
                    "protocol": "tcp",
                    "from_port": port,
                    "to_port": port,
                    "cidr_blocks": self.private_cidrs(),
                }
            ],
            egress=[],
            tags=concern.tags(full),
            opts=concern.child(),
        )

    def _vpc(self) -> ec2.Vpc:
        name = self.names.name("vpc")
        vpc = ec2.Vpc(
            "vpc",
            cidr_block=self.settings.cidr,
            enable_dns_hostnames=True,
            enable_dns_support=True,
            tags=self.tags(name),
            opts=self.child(),
        )
        ec2.DefaultSecurityGroup(
            "default",
            vpc_id=vpc.id,
            ingress=[],
            egress=[],
            tags=self.tags(self.names.name("default-emptied")),
            opts=self.child(),
        )
        return vpc

    def _subnet(self, kind: Kind, zone: str, block: IPv4Network) -> ec2.Subnet:
        name = self.names.name(kind, zone)
        return ec2.Subnet(
            f"{kind}-{zone}",
            vpc_id=self.vpc_id,
            cidr_block=str(block),
            availability_zone=self.names.zone(zone),
            map_public_ip_on_launch=False,
            tags={**self.tags(name), **LOAD_BALANCERS.get(kind, {})},
            opts=self.child(),
        )

    def _routes(self) -> list[ec2.RouteTable]:
        """One public table, one private a zone, each with its way out, and one for databases."""
        gateway = ec2.InternetGateway(
            "internet",
            vpc_id=self.vpc_id,
            tags=self.tags(self.names.name("internet")),
            opts=self.child(),
        )
        public = self._table("public")
        ec2.Route(
            "public",
            route_table_id=public.id,
            destination_cidr_block=EVERYWHERE,
            gateway_id=gateway.id,
            opts=self.child(),
        )
        nats = self._nats(gateway)
        private = {zone: self._table(f"private-{zone}") for zone in self.zones}
        for zone, nat in nats.items():
            ec2.Route(
                f"private-{zone}",
                route_table_id=private[zone].id,
                destination_cidr_block=EVERYWHERE,
                nat_gateway_id=nat.id,
                opts=self.child(),
            )
        database = self._table("database")
        for zone in self.zones:
            self._associate("public", zone, public)
            self._associate("private", zone, private[zone])
            self._associate("database", zone, database)
        return [public, *private.values(), database]

    def _nats(self, gateway: ec2.InternetGateway) -> dict[str, ec2.NatGateway]:
        """Each zone's NAT gateway: its own, the first zone's, or none."""
        places = {"none": (), "single": self.zones[:1], "per_zone": self.zones}[self.settings.nat]
        made = {zone: self._nat(zone, gateway) for zone in places}
        return {zone: made.get(zone, made[places[0]]) for zone in self.zones} if made else {}

    def _nat(self, zone: str, gateway: ec2.InternetGateway) -> ec2.NatGateway:
        name = self.names.name("nat", zone)
        address = ec2.Eip(
            f"nat-{zone}",
            domain="vpc",
            tags=self.tags(name),
            opts=self.child(after=[gateway]),
        )
        return ec2.NatGateway(
            f"nat-{zone}",
            allocation_id=address.id,
            subnet_id=self.subnets["public"][zone].id,
            tags=self.tags(name),
            opts=self.child(after=[gateway]),
        )

    def _table(self, name: str) -> ec2.RouteTable:
        return ec2.RouteTable(
            name,
            vpc_id=self.vpc_id,
            tags=self.tags(self.names.name(name)),
            opts=self.child(),
        )

    def _associate(self, kind: Kind, zone: str, table: ec2.RouteTable) -> None:
        ec2.RouteTableAssociation(
            f"{kind}-{zone}",
            subnet_id=self.subnets[kind][zone].id,
            route_table_id=table.id,
            opts=self.child(),
        )

    def _endpoints(self) -> None:
        for service in GATEWAY_SERVICES:
            ec2.VpcEndpoint(
                service,
                vpc_id=self.vpc_id,
                vpc_endpoint_type="Gateway",
                service_name=f"com.amazonaws.{self.names.region}.{service}",
                route_table_ids=[table.id for table in self.route_tables],
                tags=self.tags(self.names.name(service)),
                opts=self.child(),
            )

    def _interfaces(self) -> None:
        """Endpoints inside the VPC, which answer under the services' own names."""
        if not self.settings.endpoints:
            return
        group = self.security_group(self, "endpoints", "Interface endpoints", HTTPS)
        for service in self.settings.endpoints:
            ec2.VpcEndpoint(
                service,
                vpc_id=self.vpc_id,
                vpc_endpoint_type="Interface",
                service_name=f"com.amazonaws.{self.names.region}.{service}",
                private_dns_enabled=True,
                subnet_ids=self.subnet_ids("private"),
                security_group_ids=[group.id],
                tags=self.tags(self.names.name(service.replace(".", "-"))),
                opts=self.child(),
            )

    def _flow_logs(self, key_arn: pulumi.Input[str]) -> None:
        """Who talked to whom, delivered by the VPC with a role that can do nothing else."""
        name = self.names.name("flow-logs")
        group = log_group(self, "flow-logs", f"/aws/vpc/{name}", key_arn)
        delivery = role(
            self,
            "flow-logs",
            service="vpc-flow-logs.amazonaws.com",
            description="Flow logs to CloudWatch",
            full_name=name,
            when=own_account(self),
            statements=[
                allow(
                    "Deliver",
                    ["logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams"],
                    [pulumi.Output.concat(group.arn, ":*")],
                )
            ],
        )
        ec2.FlowLog(
            "flow-logs",
            vpc_id=self.vpc_id,
            traffic_type="ALL",
            log_destination_type="cloud-watch-logs",
            log_destination=group.arn,
            iam_role_arn=delivery.arn,
            max_aggregation_interval=600,
            tags=self.tags(name),
            opts=self.child(after=delivery.ready),
        )
