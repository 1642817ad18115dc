"""A cluster, Seldon, a Prometheus and users, shared by all tests; a namespace for each."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cluster import clusters, prometheus
from tests.cluster.api import Api, documents
from tests.cluster.binaries import MissingError
from tests.cluster.clusters import Cluster
from tests.cluster.rollouts import Installed, Operator, World, install
from tests.cluster.seldon import Seldon
from tests.cluster.traffic import Traffic

CRDS = Path(__file__).parent / "crds.yaml"


def pytest_addoption(parser: pytest.Parser) -> None:
    """What a person may choose."""
    group = parser.getgroup("cluster")
    group.addoption("--cluster", help="kind, processes or context:NAME; default: what is there")
    group.addoption("--prometheus", help="URL of a running Prometheus that scrapes the exporter")
    group.addoption(
        "--exporter-port", type=int, default=0, help="where counters are shown; default: any port"
    )


def pytest_sessionstart(session: pytest.Session) -> None:
    """What is missing is said once, before anything runs."""
    option = session.config.getoption
    try:
        clusters.choose(option("--cluster", None))
        if not option("--prometheus", None):
            prometheus.binary()
    except MissingError as error:
        pytest.exit(f"cluster tests: {error}", returncode=1)


def pytest_report_header(config: pytest.Config) -> str:
    """The choice."""
    kind, why = clusters.choose(config.getoption("--cluster", None))
    return f"cluster: {kind} ({why}); seldon: {'installed' if _installed() else 'stand-in'}"


def _installed() -> bool:
    """Whether the cluster has the real Seldon Core and Istio's CRDs."""
    return os.environ.get("MILLWRIGHT_SELDON") == "installed"


@pytest.fixture(scope="session")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where every program's log and secrets are."""
    return tmp_path_factory.mktemp("cluster")


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest, logs: Path) -> Iterator[Cluster]:
    """The cluster."""
    try:
        kind, _ = clusters.choose(request.config.getoption("--cluster", None))
        found = clusters.start(kind, logs)
    except MissingError as error:
        pytest.fail(str(error), pytrace=False)
    yield found
    found.stop()


@pytest.fixture(scope="session")
def api(cluster: Cluster) -> Api:
    """An administrator's view of it."""
    return cluster.api


@pytest.fixture(scope="session")
def seldon(api: Api) -> Iterator[None]:
    """Somebody who makes Deployments of SeldonDeployments."""
    if _installed():
        yield
        return
    api.install(documents(CRDS))
    stand_in = Seldon(api)
    stand_in.start()
    yield
    stand_in.stop()


@pytest.fixture(scope="session")
def traffic(api: Api, seldon: None, request: pytest.FixtureRequest) -> Iterator[Traffic]:
    """Users."""
    users = Traffic(api, port=request.config.getoption("--exporter-port", 0))
    users.start()
    yield users
    users.stop()


@pytest.fixture(scope="session")
def prometheus_url(traffic: Traffic, logs: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """A Prometheus that knows what the users met."""
    asked = request.config.getoption("--prometheus", None)
    if asked:
        yield asked
        return
    try:
        program, url = prometheus.start(logs, traffic.address)
    except MissingError as error:
        pytest.fail(str(error), pytrace=False)
    yield url
    program.stop()


@pytest.fixture(scope="session")
def installed(api: Api, seldon: None) -> Installed:
    """The operator's manifests in the cluster."""
    return install(api)


@pytest.fixture
def namespace(api: Api) -> Iterator[str]:
    """A namespace of the test's own, in which pods may do nothing to their node."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    metadata = {"name": name, "labels": labels}
    document = {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}
    api.apply(document)
    yield name
    api.delete(document)


@pytest.fixture(scope="session")
def new_operator(
    installed: Installed, cluster: Cluster, prometheus_url: str, logs: Path
) -> Iterator[Callable[[], Operator]]:
    """Makes operator processes with their own service account's token; not started."""
    made: list[Operator] = []

    def make() -> Operator:
        made.append(Operator(cluster.api, installed, prometheus_url, logs))
        return made[-1]

    yield make
    for one in made:
        one.stop()


@pytest.fixture(scope="session")
def operator(new_operator: Callable[[], Operator]) -> Operator:
    """The one that all tests share, as all models of a cluster do."""
    return new_operator()


@pytest.fixture
def world(api: Api, namespace: str, traffic: Traffic, operator: Operator) -> Iterator[World]:
    """A namespace with a running operator and users."""
    operator.ensure()
    yield World(api, namespace, traffic, operator)
    traffic.none(namespace)
