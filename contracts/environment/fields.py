"""What the sections of the environment document share: their base, and checked types of values.

Each check refuses with a sentence that says what was expected, and which known name was probably
meant.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from typing import Annotated, ClassVar, Final, Literal

from pydantic import AfterValidator, BeforeValidator

from contracts.document import Document, Duration, suggest

DAY: Final = 86400.0

Tier = Literal["local", "dev", "staging", "prod"]

TierDefaults = dict[Tier, dict[str, object]]
"""What a tier settles of a section's settings, as a person would write it."""


class Section(Document):
    """One concern's settings: a key of the environment document."""

    tiers: ClassVar[TierDefaults] = {}
    """What each tier settles here; whatever is written holds key by key."""


def matching(pattern: str, expected: str) -> Callable[[str], str]:
    """A check that a string has a form, refusing others with what was expected."""
    form = re.compile(pattern)

    def check(value: str) -> str:
        if not form.fullmatch(value):
            raise ValueError(f"{value!r} is not {expected}")
        return value

    return check


def one_of(names: tuple[str, ...], what: str) -> Callable[[str], str]:
    """A check that a name is known, refusing others with the one that was probably meant."""

    def check(value: str) -> str:
        if value not in names:
            raise ValueError(f"{value!r} is not a {what}; {suggest(value, names)}")
        return value

    return check


def whole_days(seconds: float) -> float:
    """AWS counts retention in days."""
    if seconds % DAY:
        raise ValueError("AWS counts this in whole days; write it such as 7d")
    return seconds


def days_between(low: int, high: int, why: str) -> Callable[[float], float]:
    """A check that a retention lies in what the service takes."""

    def check(seconds: float) -> float:
        if not low * DAY <= whole_days(seconds) <= high * DAY:
            raise ValueError(f"{why}: {low}d to {high}d, not {seconds / DAY:g}d")
        return seconds

    return check


LOG_DAYS: Final = (
    *(1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731),
    *(1096, 1827, 2192, 2557, 2922, 3288, 3653),
)
"""The retentions that CloudWatch Logs offers (PutRetentionPolicy)."""


def log_days(seconds: float) -> float:
    """CloudWatch keeps logs for some numbers of days only."""
    days = whole_days(seconds) / DAY
    if days not in LOG_DAYS:
        nearest = min(LOG_DAYS, key=lambda offered: abs(offered - days))
        raise ValueError(f"CloudWatch does not keep logs for {days:g}d; the nearest is {nearest}d")
    return seconds


def quoted(value: object) -> object:
    """An account number written without quotes is a number, and has lost its leading zeros."""
    if isinstance(value, int | float):
        raise ValueError(
            f"put the twelve digits in quotes: as a number they read {str(value)[:15]}, "
            "without leading zeros"
        )
    return value


NAME = matching(
    r"(?=.{1,63}$)[a-z][a-z0-9]*(-[a-z0-9]+)*",
    "a name of at most 63 lower-case letters, digits and single hyphens",
)
ARN = matching(
    r"arn:aws[a-z-]*:iam::\d{12}:"
    r"((role|user)/([!-~]+/)?[\w+=,.@-]{1,64}|policy/([!-~]+/)?[\w+=,.@-]{1,128})",
    "an IAM ARN",
)
"""https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html"""

Days = Annotated[Duration, AfterValidator(whole_days)]
LogDays = Annotated[Duration, AfterValidator(log_days)]
Name = Annotated[str, AfterValidator(NAME)]
Identifier = Annotated[
    str,
    AfterValidator(matching(r"[a-z][a-z0-9_]{0,62}", "a name of lower-case letters, digits and _")),
]
Arn = Annotated[str, AfterValidator(ARN)]
Email = Annotated[str, AfterValidator(matching(r"[^@\s]+@[^@\s]+\.[^@\s]+", "an e-mail address"))]
AccountId = Annotated[
    str,
    BeforeValidator(quoted),
    AfterValidator(matching(r"\d{12}", "an AWS account: twelve digits, in quotes")),
]
Region = Annotated[
    str, AfterValidator(matching(r"[a-z]{2}(-[a-z]+)+-\d", "an AWS region such as eu-central-1"))
]
InstanceType = Annotated[
    str,
    AfterValidator(
        matching(
            r"[a-z][a-z0-9-]*\.(nano|micro|small|medium|large|metal|(\d+)?xlarge|metal-\d+xl)",
            "an EC2 instance type such as m7i.xlarge",
        )
    ),
]


def cidr(value: str) -> str:
    """A network with no host bits set."""
    try:
        return str(ipaddress.IPv4Network(value))
    except ValueError as error:
        raise ValueError(f"{value!r} is not a network such as 10.0.0.0/16: {error}") from None


Cidr = Annotated[str, AfterValidator(cidr)]
