"""A checkout in a folder whose name means something in an address."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy
from hypothesis import given
from hypothesis import strategies as st

from project.here import tracking_uri

NAME = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="/\0"), min_size=1)


@given(NAME)
def test_the_registrys_address_names_its_file(name: str) -> None:
    root = Path("/home/somebody") / name
    url = sqlalchemy.make_url(tracking_uri(root))
    assert url.database == str(root / "mlflow.db")
    assert not url.query


@pytest.mark.parametrize(
    "name", ["a b", "50%", "50%25", "why?", "c#", "müll", "a&b;c", "a+b", "{port}"]
)
def test_a_registry_is_made_there_and_nowhere_else(name: str, tmp_path: Path) -> None:
    root = tmp_path / name
    root.mkdir()
    engine = sqlalchemy.create_engine(tracking_uri(root))
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text("create table t (i int)"))
    engine.dispose()
    assert [path.name for path in root.iterdir()] == ["mlflow.db"]
    assert [path.name for path in tmp_path.iterdir()] == [name]
