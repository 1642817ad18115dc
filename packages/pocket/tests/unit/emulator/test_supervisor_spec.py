"""What a process specification refuses and how it is told from another."""

from __future__ import annotations

import pytest

from pocket.errors import ProcessError
from pocket.supervisor import HttpReady, Port, Spec
from pocket.supervisor.spec import written


@pytest.mark.parametrize("name", ["", "../x", "Web", "a/b", ".hidden", "a b"])
def test_a_name_that_is_no_file_name_is_refused(name: str) -> None:
    with pytest.raises(ProcessError, match="cannot name a process"):
        Spec(name=name, argv=("true",))


def test_a_port_that_is_not_picked_is_refused_by_name() -> None:
    for spec in ({"argv": ("x", ("--at=:", Port("admin")))}, {"env": {"A": Port("admin")}}):
        with pytest.raises(ProcessError, match="names the port 'admin'"):
            Spec(**{"name": "a", "argv": ("x",), **spec})


def test_a_text_is_told_from_a_port() -> None:
    texts = Spec(name="a", argv=("x", "{port}"))
    assert Spec(name="a", argv=("x", Port())).fingerprint != texts.fingerprint
    assert written("{port} {} {0} %s", {"port": 1}) == "{port} {} {0} %s"
    assert written(("http://{port}:", Port(), "/"), {"port": 1}) == "http://{port}:1/"


def test_the_fingerprint_sees_what_runs_and_not_how_it_is_watched() -> None:
    spec = Spec(name="a", argv=("x", Port()), env={"A": "1", "B": "2"})
    assert (
        spec.fingerprint
        == Spec(
            name="a", argv=("x", Port()), env={"B": "2", "A": "1"}, ready=HttpReady(), grace=1
        ).fingerprint
    )
    assert spec.fingerprint != Spec(name="a", argv=("x", Port()), env={"A": "1"}).fingerprint
