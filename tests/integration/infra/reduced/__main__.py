"""A small environment with one of each way in which the provider creates: with a known name and
without, in one call and in several, tagged at creation and after it, joining two others."""

import json

import pulumi
import pulumi_aws as aws

TAGS = {"millwright:environment": "local"}
TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "ec2.amazonaws.com"},
                "Action": "sts:AssumeRole",
            }
        ],
    }
)
READS = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}],
    }
)

provider = aws.Provider("aws", region="eu-central-1", default_tags={"tags": TAGS})
opts = pulumi.ResourceOptions(provider=provider)

vpc = aws.ec2.Vpc("vpc", cidr_block="10.9.0.0/16", enable_dns_hostnames=True, opts=opts)
subnet = aws.ec2.Subnet(
    "subnet",
    vpc_id=vpc.id,
    cidr_block="10.9.1.0/24",
    availability_zone="eu-central-1a",
    map_public_ip_on_launch=True,
    opts=opts,
)
gateway = aws.ec2.InternetGateway("gateway", vpc_id=vpc.id, opts=opts)
table = aws.ec2.RouteTable("table", vpc_id=vpc.id, opts=opts)
aws.ec2.Route(
    "out",
    route_table_id=table.id,
    destination_cidr_block="0.0.0.0/0",
    gateway_id=gateway.id,
    opts=opts,
)
aws.ec2.RouteTableAssociation(
    "association", subnet_id=subnet.id, route_table_id=table.id, opts=opts
)
address = aws.ec2.Eip("address", domain="vpc", opts=opts)
aws.ec2.SecurityGroup(
    "group",
    vpc_id=vpc.id,
    ingress=[
        {"protocol": "tcp", "from_port": 443, "to_port": 443, "cidr_blocks": ["10.0.0.0/8"]},
    ],
    opts=opts,
)
key = aws.kms.Key("key", enable_key_rotation=True, opts=opts)
aws.kms.Alias("alias", name="alias/reduced", target_key_id=key.key_id, opts=opts)
bucket = aws.s3.Bucket("bucket", bucket="reduced-bucket", force_destroy=True, opts=opts)
aws.s3.BucketVersioning(
    "versions", bucket=bucket.id, versioning_configuration={"status": "Enabled"}, opts=opts
)
role = aws.iam.Role("role", name="reduced-role", assume_role_policy=TRUST, opts=opts)
aws.iam.RolePolicy("reads", name="reads", role=role.name, policy=READS, opts=opts)
aws.dynamodb.Table(
    "table",
    name="reduced-table",
    hash_key="id",
    billing_mode="PAY_PER_REQUEST",
    attributes=[{"name": "id", "type": "S"}],
    point_in_time_recovery={"enabled": True},
    opts=opts,
)
aws.cloudwatch.LogGroup("logs", name="/reduced", retention_in_days=7, opts=opts)
aws.ecr.Repository("images", name="reduced-images", opts=opts)
