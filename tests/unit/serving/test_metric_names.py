"""The names of what is counted, and the spelling of a bucket's edge."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from serving import metrics
from serving.runtime.counters import Counters

FINITE = st.floats(allow_nan=False, allow_infinity=False)


@given(FINITE)
def test_an_edge_reads_back_as_its_number(value: float) -> None:
    assert float(metrics.edge(value)) == value


@given(FINITE, FINITE)
def test_two_edges_have_two_texts(one: float, other: float) -> None:
    assert (metrics.edge(one) == metrics.edge(other)) == (repr(one) == repr(other))


def test_a_server_writes_every_metric_with_its_type_and_no_other() -> None:
    counted = Counters({metrics.MODEL: "m"}, 2.0, [0.1234567, 0.1234568])
    families = {
        f"{family.name}_total" if family.type == "counter" else family.name: family
        for family in text_string_to_metric_families(counted.text().decode())
    }
    assert {name: (one.type, one.documentation) for name, one in families.items()} == metrics.HELP
    edges = [
        sample.labels[metrics.EDGE]
        for sample in families[metrics.PREDICTIONS].samples
        if sample.name == metrics.bucket(metrics.PREDICTIONS)
    ]
    assert edges == ["0.1234567", "0.1234568", metrics.INFINITY]
    times = families[metrics.REQUEST_SECONDS].samples
    assert "2" in {sample.labels.get(metrics.EDGE) for sample in times}
