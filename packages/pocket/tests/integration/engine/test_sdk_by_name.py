"""A provider's SDK is loaded file by file, and is then what the ordinary import gives."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

CATALOGUE = """
    import inspect, json, sys
    import pulumi_aws
    from pulumi_aws import ec2, iam, s3

    def kind(value):
        if inspect.ismodule(value):
            return f"module {value.__name__}"
        return f"{type(value).__name__} {getattr(value, '__module__', '')}.{value!r:.60}"

    def names(package):
        return {name: kind(getattr(package, name)) for name in dir(package) if name[0] != "_"}

    def starred(package):
        scope = {}
        exec(f"from {package.__name__} import *", scope)
        return sorted(name for name in scope if name[0] != "_")

    answer = {one.__name__: names(one) for one in (ec2, iam, s3)}
    answer["starred"] = starred(iam)
    print(json.dumps(answer))
"""


def run(program: str, *, by_name: bool = True) -> str:
    """What a program prints in a process of its own, with the SDK loaded in either way."""
    prepared = "from pocket.engine.sdk import load_by_name\nload_by_name()\n" if by_name else ""
    done = subprocess.run(
        [sys.executable, "-c", prepared + textwrap.dedent(program)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_only_the_files_of_used_types_are_loaded() -> None:
    loaded = json.loads(
        run("""
        import json, sys
        import pulumi_aws
        from pulumi_aws import ec2, iam, sqs
        ec2.Vpc, iam.Role, iam.get_policy_document
        print(json.dumps([name for name in sys.modules if name.count(".") == 2]))
    """)
    )
    files = {name for name in loaded if name.startswith(("pulumi_aws.ec2", "pulumi_aws.iam"))}
    assert "pulumi_aws.ec2.vpc" in files
    assert "pulumi_aws.ec2._inputs" not in files, "a VPC has no nested blocks"
    assert not [name for name in files if "ec2" in name and "vpc" not in name]
    assert len(files) < 10, sorted(files)
    assert not [name for name in loaded if name.startswith("pulumi_aws.sqs")]


def test_every_name_is_what_the_ordinary_import_gives() -> None:
    assert json.loads(run(CATALOGUE)) == json.loads(run(CATALOGUE, by_name=False))


def test_a_function_stays_a_function_when_its_file_is_imported_first() -> None:
    run("""
        import pulumi_aws.ec2.get_vpc
        from pulumi_aws import ec2
        from pulumi_aws.ec2 import get_vpc, vpc
        assert callable(ec2.get_vpc) and callable(get_vpc), get_vpc
        assert vpc.Vpc is ec2.Vpc
        try:
            ec2.Vpcs
        except AttributeError as error:
            assert str(error) == "module 'pulumi_aws.ec2' has no attribute 'Vpcs'", error
        else:
            raise AssertionError("a misspelt name was found")
    """)


def test_resources_that_come_back_as_references_are_of_the_registered_classes() -> None:
    run("""
        import pulumi_aws
        from pulumi.runtime import rpc
        module = rpc.get_resource_module("aws", "ec2/vpc", pulumi_aws._utilities.get_version())
        assert pulumi_aws._utilities.lazy_import(module.mod_info["fqn"]).Vpc is pulumi_aws.ec2.Vpc
        package = rpc.get_resource_package("aws", pulumi_aws._utilities.get_version())
        assert package is not None
    """)


@pytest.mark.parametrize("package", ["config", "ec2"])
def test_what_is_not_star_imports_is_loaded_as_ever(package: str) -> None:
    kind = run(f"""
        import pulumi_aws
        pulumi_aws.{package}.region if {package == "config"} else pulumi_aws.{package}.Vpc
        print(type(pulumi_aws.{package}).__name__)
    """).strip()
    assert kind == {"config": "_ExportableConfig", "ec2": "ByName"}[package]


def test_kubernetes_too() -> None:
    loaded = run("""
        import sys
        import pulumi_kubernetes
        pulumi_kubernetes.core.v1.Namespace, pulumi_kubernetes.meta.v1.ObjectMetaArgs
        print(len([name for name in sys.modules if name.startswith("pulumi_kubernetes.core.v1.")]))
    """)
    assert int(loaded) < 10
