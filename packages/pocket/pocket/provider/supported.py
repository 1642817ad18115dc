"""The types and functions that the provider has, as the README lists them.

``python -m pocket.provider.supported`` prints the list; with a README's path it is put there.
"""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from pathlib import Path

from pocket.provider.functions import FUNCTIONS
from pocket.provider.types import TABLE

BEGIN, END = "<!-- supported: begin -->", "<!-- supported: end -->"


def listing() -> str:
    """A line of Markdown for each module of ``pulumi_aws``: its resources, then its functions."""
    names: defaultdict[str, list[str]] = defaultdict(list)
    for token in sorted(TABLE):
        module, name = _parts(token)
        names[module].append(name)
    for token in sorted(FUNCTIONS):
        module, name = _parts(token)
        names[module].append(f"{re.sub(r'(?<!^)(?=[A-Z])', '_', name).lower()}()")
    return "\n".join(f"- `{module}`: {', '.join(names[module])}" for module in sorted(names))


def placed(text: str) -> str:
    """A README with the list between its two marks."""
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n{listing()}\n{END}{rest.partition(END)[2]}"


def _parts(token: str) -> tuple[str, str]:
    """(module, name) of ``aws:s3/bucket:Bucket``."""
    _, module, name = token.split(":")
    module = module.partition("/")[0]
    return "aws" if module == "index" else f"aws.{module}", name


if __name__ == "__main__":
    if sys.argv[1:]:
        readme = Path(sys.argv[1])
        readme.write_text(placed(readme.read_text()))
    else:
        print(listing())
