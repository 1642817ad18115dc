"""What of this machine's pip a build is lent."""

from __future__ import annotations

import configparser
import stat
from pathlib import Path

import pytest

from contracts.errors import ImageError
from images.pip import INSIDE, PipSettings, files, read_settings


def parsed(settings: PipSettings) -> dict[str, str]:
    """What pip reads in the build."""
    parser = configparser.RawConfigParser()
    parser.read_string(settings.text())
    return dict(parser["global"])


def test_a_machine_without_settings_lends_none() -> None:
    settings = read_settings({}, [])
    assert settings == PipSettings(options={})
    assert parsed(settings) == {}


def test_files_are_read_the_strongest_last_and_variables_are_stronger(tmp_path: Path) -> None:
    weak, strong = tmp_path / "weak", tmp_path / "strong"
    weak.write_text("[global]\nindex-url = https://a.example/simple\nretries = 3\n")
    strong.write_text("[install]\nindex_url = https://b.example/simple\n")
    settings = read_settings({"PIP_DEFAULT_TIMEOUT": "180"}, [weak, tmp_path / "none", strong])
    assert parsed(settings) == {
        "index-url": "https://b.example/simple",
        "retries": "3",
        "timeout": "180",
    }
    changed = read_settings({"PIP_INDEX_URL": "https://c.example"}, [weak, strong])
    assert parsed(changed)["index-url"] == "https://c.example"


def test_what_means_something_else_inside_stays_here(tmp_path: Path) -> None:
    file = tmp_path / "pip.conf"
    file.write_text("[global]\nfind-links = /opt/wheels\ncache-dir = /var/cache\nno-index = true\n")
    assert read_settings({"PIP_FIND_LINKS": "/opt/wheels"}, [file]).options == {}


def test_several_indexes_stay_several(tmp_path: Path) -> None:
    file = tmp_path / "pip.conf"
    file.write_text("[global]\nextra-index-url =\n    https://a.example\n    https://b.example\n")
    lent = parsed(read_settings({}, [file]))
    assert lent["extra-index-url"].split() == ["https://a.example", "https://b.example"]


def test_a_proxy_of_the_machine_is_pips_too() -> None:
    assert read_settings({"HTTPS_PROXY": "http://proxy:3128"}, []).options == {
        "proxy": "http://proxy:3128"
    }


@pytest.mark.parametrize("variable", ["PIP_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"])
def test_certificates_go_in_as_a_file_of_their_own(tmp_path: Path, variable: str) -> None:
    bundle = tmp_path / "bundle.pem"
    bundle.write_text("certificate")
    settings = read_settings({variable: str(bundle)}, [])
    assert parsed(settings) == {"cert": INSIDE}
    with settings.secrets() as secrets:
        assert secrets["ca.pem"] == bundle


def test_certificates_that_are_not_there_are_not_lent(tmp_path: Path) -> None:
    settings = read_settings({"PIP_CERT": str(tmp_path / "none.pem")}, [])
    assert settings.certificates is None
    with settings.secrets() as secrets:
        assert set(secrets) == {"pip.conf"}


def test_the_file_is_its_owners_alone_and_gone_afterwards() -> None:
    settings = PipSettings(options={"index-url": "https://user:secret@a.example/simple"})
    with settings.secrets() as secrets:
        path = secrets["pip.conf"]
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert "user:secret" in path.read_text()
    assert not path.exists()


def test_a_file_that_is_none_of_pips_is_named(tmp_path: Path) -> None:
    file = tmp_path / "pip.conf"
    file.write_text("index-url = https://a.example\n")
    with pytest.raises(ImageError, match="pip's settings cannot be read") as raised:
        read_settings({}, [file])
    assert raised.value.where == str(file)


def test_the_files_are_pips_own_with_a_named_one_the_strongest() -> None:
    named = files({"HOME": "/home/ada", "PIP_CONFIG_FILE": "/etc/other.conf"})
    assert named[0] == Path("/etc/pip.conf")
    assert Path("/home/ada/.config/pip/pip.conf") in named
    assert named[-1] == Path("/etc/other.conf")
