"""What the Pulumi CLI and the embedded engine run: read the environment, build it, export it."""

import pulumi

from infra.stack import build, outputs, read_environment

for name, value in outputs(build(read_environment())).items():
    pulumi.export(name, value)
