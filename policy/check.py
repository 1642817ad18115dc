"""Check an environment's plan with checkov: every finding is mended or has a reason beside it.

    python -m policy.check prod .millwright/policy-venv/bin/checkov

Exits with 1 when a finding has no reason, a reason has no finding, or (in prod) fewer than 98 % of
the checks that apply pass. A reason holds for every environment, or for those in its `only`: what
is right for dev, to be deleted at a whim, would be wrong for prod.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from policy.terraform import plan_of

HERE = Path(__file__).parent
EXCEPTIONS = HERE / "exceptions.yaml"
PLANS = HERE.parent / "tests" / "unit" / "infra" / "conftest.py"
"""Where the program is run with stand-ins for AWS's answers."""
LEAST = {"prod": 0.98}
"""The share of checks that has to pass; elsewhere every finding has its reason, and that is all."""
PATIENCE = 300
"""Seconds that checkov may take; on a plan it needs about ten."""

Findings = set[tuple[str, str]]
"""Check and resource."""


def planned(environment: str) -> dict[str, Any]:
    """The Terraform plan of one of the project's environments."""
    spec = importlib.util.spec_from_file_location("policy_plans", PLANS)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return plan_of(module.plan_of(environment).resources)


def scan(checkov: Path, plan: Mapping[str, Any]) -> dict[str, Any]:
    """What checkov finds."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "plan.json"
        file.write_text(json.dumps(plan))
        command: list[str | Path] = [
            *(checkov, "--file", file, "--framework", "terraform_plan"),
            *("--output", "json", "--compact", "--quiet", "--skip-download"),
        ]
        try:
            answer = subprocess.run(
                command, capture_output=True, text=True, check=False, timeout=PATIENCE
            )
        except FileNotFoundError:
            raise SystemExit(f"there is no {checkov}: run `make policy`") from None
        except subprocess.TimeoutExpired:
            raise SystemExit(f"checkov did not end in {PATIENCE} s") from None
    try:
        report = json.loads(answer.stdout)
    except json.JSONDecodeError:
        raise SystemExit(f"checkov failed:\n{answer.stderr[-2000:]}") from None
    return dict(report[0] if isinstance(report, list) else report)


def accepted(document: Mapping[str, Any], environment: str) -> dict[str, Any]:
    """The reasons that hold for an environment, by check."""
    for check, entry in document.items():
        if not entry.get("why"):
            raise SystemExit(f"{EXCEPTIONS.name}: {check} has no reason")
    return {
        check: entry
        for check, entry in document.items()
        if environment in entry.get("only", [environment])
    }


def excepted(reasons: Mapping[str, Any]) -> Findings:
    """The findings that have a reason."""
    return {
        (check, resource) for check, entry in reasons.items() for resource in entry["resources"]
    }


def verdict(report: Mapping[str, Any], reasons: Findings, least: float = 0.0) -> list[str]:
    """What is wrong, a sentence each.

    Args:
        report: checkov's, of one framework.
        reasons: the findings that have a reason.
        least: the share of checks that has to pass, 0 to 1.
    """
    summary = report["summary"]
    applied = summary["passed"] + summary["failed"]
    failed = report["results"]["failed_checks"]
    names = {finding["check_id"]: finding["check_name"] for finding in failed}
    findings = {(finding["check_id"], finding["resource"]) for finding in failed}
    wrong = [
        f"{check} on {resource}: {names[check]}" for check, resource in sorted(findings - reasons)
    ]
    wrong += [
        f"{check} on {resource} has a reason but is no finding: remove it"
        for check, resource in sorted(reasons - findings)
    ]
    if not applied or summary["passed"] / applied < least:
        wrong.append(f"{summary['passed']} of {applied} checks pass, fewer than {least:.0%}")
    return wrong


def main(environment: str, checkov: str) -> int:
    """Scan, print, and say by the exit code whether all is well."""
    reasons = accepted(yaml.safe_load(EXCEPTIONS.read_text()), environment)
    report = scan(Path(checkov), planned(environment))
    wrong = verdict(report, excepted(reasons), LEAST.get(environment, 0.0))
    summary = report["summary"]
    applied = summary["passed"] + summary["failed"]
    print(
        f"{environment}: {summary['passed']} of {applied} checks pass "
        f"({summary['passed'] / max(applied, 1):.1%}) on {summary['resource_count']} resources, "
        f"by checkov {summary['checkov_version']}"
    )
    for check, entry in reasons.items():
        print(f"  accepted {check} on {len(entry['resources'])} ({entry['what']}):")
        print(f"    {entry['why']}")
    for sentence in wrong:
        print(f"  WRONG {sentence}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
