"""What the Pulumi CLI and the embedded engine run: read the environment, build it, export it."""

import pulumi

from infra.stack import build, read_environment, read_images

environment = read_environment()
for name, value in build(environment, read_images(environment)).outputs().items():
    pulumi.export(name, value)
