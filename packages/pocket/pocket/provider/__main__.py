"""``pulumi-resource-aws``: the provider as the plugin that the Pulumi CLI starts.

With its folder on PATH the CLI takes it for every program, also for one that is meant for a real
account. So it serves this machine alone, unless it is told of another place.
"""

from pocket.provider.provider import AwsProvider
from pocket.provider.serving import run

if __name__ == "__main__":
    run(AwsProvider(loopback_only=True))
