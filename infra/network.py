"""The VPC: public, private and database subnets over the environment's zones.

Databases have no route to the internet at all; nodes reach out through NAT; what goes to S3 and
DynamoDB stays inside AWS through gateway endpoints, which cost nothing. The default security
group is emptied, so that nothing is reachable because someone forgot to choose one.
"""

from __future__ import annotations

from ipaddress import IPv4Network
from typing import Final

import pulumi
from pulumi_aws import ec2

from contracts.environment import Environment
from infra.concern import Concern
from infra.subnets import Kind, plan

EVERYWHERE: Final = "0.0.0.0/0"
GATEWAY_SERVICES: Final = ("s3", "dynamodb")
LOAD_BALANCERS: Final[dict[Kind, dict[str, str]]] = {
    "public": {"kubernetes.io/role/elb": "1"},
    "private": {"kubernetes.io/role/internal-elb": "1"},
}
"""Tags by which the cluster finds the subnets for its load balancers."""


class Network(Concern):
    """VPC, subnets, routes, endpoints."""

    def __init__(
        self, environment: Environment, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("network", environment, opts)
        self.settings = environment.network
        self.zones = self.settings.zones
        self.vpc = self._vpc()
        self.vpc_id = self.vpc.id
        self.subnets = {
            kind: {zone: self._subnet(kind, zone, block) for zone, block in blocks.items()}
            for kind, blocks in plan(IPv4Network(self.settings.cidr), self.zones).items()
        }
        self.route_tables = self._routes()
        self._endpoints()
        self.register_outputs({})

    def subnet_ids(self, kind: Kind) -> list[pulumi.Output[str]]:
        """The subnets of a kind, in the order of the zones."""
        return [subnet.id for subnet in self.subnets[kind].values()]

    def cidrs(self, kind: Kind) -> list[str]:
        """The addresses of a kind's subnets."""
        return [
            str(block) for block in plan(IPv4Network(self.settings.cidr), self.zones)[kind].values()
        ]

    def security_group(
        self, concern: Concern, name: str, purpose: str, port: int
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
                    "cidr_blocks": self.cidrs("private"),
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
