"""What a process specification refuses and how it is told from another."""

from __future__ import annotations

import pytest

from pocket.errors import ProcessError
from pocket.supervisor import HttpReady, Spec


@pytest.mark.parametrize("name", ["", "../x", "Web", "a/b", ".hidden", "a b"])
def test_a_name_that_is_no_file_name_is_refused(name: str) -> None:
    with pytest.raises(ProcessError, match="cannot name a process"):
        Spec(name=name, argv=("true",))


def test_the_fingerprint_sees_what_runs_and_not_how_it_is_watched() -> None:
    spec = Spec(name="a", argv=("x", "{port}"), env={"A": "1", "B": "2"})
    assert (
        spec.fingerprint
        == Spec(
            name="a", argv=("x", "{port}"), env={"B": "2", "A": "1"}, ready=HttpReady(), grace=1
        ).fingerprint
    )
    assert spec.fingerprint != Spec(name="a", argv=("x", "{port}"), env={"A": "1"}).fingerprint
