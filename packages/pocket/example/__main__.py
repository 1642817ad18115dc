"""A bucket of receipts and a table of orders."""

import pulumi
import pulumi_aws as aws

config = pulumi.Config()
days = config.get_int("days_kept") or 30

receipts = aws.s3.Bucket("receipts", force_destroy=True)
aws.s3.BucketLifecycleConfiguration(
    "receipts",
    bucket=receipts.id,
    rules=[
        {
            "id": "expire",
            "status": "Enabled",
            "filter": {"prefix": ""},
            "expiration": {"days": days},
        }
    ],
)
orders = aws.dynamodb.Table(
    "orders",
    billing_mode="PAY_PER_REQUEST",
    hash_key="customer",
    range_key="number",
    attributes=[{"name": "customer", "type": "S"}, {"name": "number", "type": "N"}],
)

pulumi.export("bucket", receipts.bucket)
pulumi.export("table", orders.name)
