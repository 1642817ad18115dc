"""``pulumi-resource-aws``: the provider as the plugin that the Pulumi CLI starts."""

from pocket.provider.provider import AwsProvider
from pocket.provider.serving import run

if __name__ == "__main__":
    run(AwsProvider())
