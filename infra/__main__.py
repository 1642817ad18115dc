"""What the Pulumi CLI and the embedded engine run: read the environment, build it, export it."""

import pulumi

from infra.stack import build, read_environment

for name, value in build(read_environment()).items():
    pulumi.export(name, value)
