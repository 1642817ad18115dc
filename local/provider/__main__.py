"""``pulumi-resource-aws``: the provider as the plugin that the Pulumi CLI starts."""

from local.provider.provider import AwsProvider
from local.provider.serving import run

if __name__ == "__main__":
    run(AwsProvider())
