"""The operator's settings: options, the same names in the environment, and sentences."""

from __future__ import annotations

import pytest

from contracts.errors import UsageError
from serving.rollout.operator.__main__ import main
from serving.rollout.operator.settings import read
from serving.rollout.pods import IMAGE

URL = "http://prometheus:9090"


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    names = (
        "prometheus",
        "mlflow",
        "namespace",
        "kubeconfig",
        "context",
        "image",
        "listen",
        "origins",
    )
    for name in (*(f"MILLWRIGHT_{name.upper()}" for name in names), "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)


def test_an_option_counts_more_than_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILLWRIGHT_PROMETHEUS", "http://other:9090")
    monkeypatch.setenv("MILLWRIGHT_NAMESPACE", "")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow:5000")
    settings = read(["--prometheus", URL, "--listen", "0.0.0.0:9"])
    assert (settings.prometheus, settings.mlflow) == (URL, "http://mlflow:5000")
    assert (settings.namespace, settings.image, settings.listen) == (None, IMAGE, "0.0.0.0:9")
    monkeypatch.setenv("MILLWRIGHT_MLFLOW", "http://own:5000")
    assert read([]).mlflow == "http://own:5000"
    assert read(["--mlflow", "http://said:1"]).mlflow == "http://said:1"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ([], "MILLWRIGHT_PROMETHEUS) is needed"),
        (["--prometheus", "prometheus:9090"], "is no URL; write http://host:port"),
        (["--prometheus", URL, "--listen", "8080x"], "write host:port, such as 0.0.0.0:8080"),
    ],
)
def test_a_wrong_value_is_a_sentence(
    options: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UsageError) as caught:
        read(options)
    assert sentence in str(caught.value)
    assert main(options) == 2
    assert "Traceback" not in capsys.readouterr().err
