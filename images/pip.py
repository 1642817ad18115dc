"""The builder's own settings of pip, as a build can be lent them.

A mirror of PyPI, its credentials and the certificates of a proxy stand in this machine's files and
variables, which a build does not see. They go in as build secrets: mounted while pip runs, and in
no layer, no history and no argument of a process.
"""

from __future__ import annotations

import configparser
import io
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from contracts.errors import ImageError

LENT: Final = ("index-url", "extra-index-url", "trusted-host", "proxy", "timeout", "retries")
"""pip's settings that mean the same inside a build."""
SECTIONS: Final = ("global", "install", "download")
"""pip's own order: the later is the stronger."""
ALIASES: Final = {"default-timeout": "timeout"}
PROXIES: Final = ("https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY")
CERTIFICATES: Final = ("PIP_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
"""Variables that name a file of certificates, the strongest first."""
INSIDE: Final = "/run/secrets/ca.pem"
"""Where the Dockerfiles mount it."""


@dataclass(frozen=True)
class PipSettings:
    """What a build is lent."""

    options: Mapping[str, str]
    """pip's settings by name."""
    certificates: Path | None = None
    """Whom to trust, in a file of PEM."""

    def text(self) -> str:
        """pip's configuration file for the build."""
        parser = configparser.RawConfigParser()
        parser["global"] = dict(self.options)
        if self.certificates:
            parser["global"]["cert"] = INSIDE
        text = io.StringIO()
        parser.write(text)
        return text.getvalue()

    @contextmanager
    def secrets(self) -> Iterator[dict[str, Path]]:
        """Files of the secrets by their names in the Dockerfiles; its owner's alone, and not for
        longer than the build."""
        with TemporaryDirectory(prefix="millwright-pip-") as folder:
            path = Path(folder) / "pip.conf"
            path.touch(mode=0o600)
            path.write_text(self.text(), encoding="utf-8")
            files = {"pip.conf": path}
            if self.certificates:
                files["ca.pem"] = self.certificates
            yield files


def files(environment: Mapping[str, str]) -> list[Path]:
    """The files that pip reads on this machine, the strongest last."""
    home = Path(environment.get("HOME", "~")).expanduser()
    config = Path(environment.get("XDG_CONFIG_HOME") or home / ".config")
    own = [Path("/etc/pip.conf"), home / ".pip" / "pip.conf", config / "pip" / "pip.conf"]
    mac = home / "Library" / "Application Support" / "pip" / "pip.conf"
    given = environment.get("PIP_CONFIG_FILE")
    return [*own, mac, *([Path(given)] if given else ())]


def read_settings(
    environment: Mapping[str, str] = os.environ, paths: Iterable[Path] | None = None
) -> PipSettings:
    """This machine's settings of pip.

    Args:
        environment: the variables.
        paths: the configuration files, the strongest last; those that pip reads when left out.
    """
    settings: dict[str, str] = {}
    for path in files(environment) if paths is None else paths:
        settings |= read_file(path)
    named = ((name, f"PIP_{name.upper().replace('-', '_')}") for name in (*ALIASES, *LENT))
    settings |= {
        ALIASES.get(name, name): environment[variable]
        for name, variable in named
        if environment.get(variable)
    }
    proxy = next((environment[name] for name in PROXIES if environment.get(name)), "")
    if proxy:
        settings.setdefault("proxy", proxy)
    stronger = [environment[name] for name in CERTIFICATES if environment.get(name)]
    certificates = [Path(name) for name in (*stronger[:1], settings.get("cert", "")) if name]
    return PipSettings(
        options={name: value for name, value in settings.items() if name in LENT},
        certificates=next((path for path in certificates if path.is_file()), None),
    )


def read_file(path: Path) -> dict[str, str]:
    """The settings in one of pip's configuration files; none where there is no file.

    Raises:
        ImageError: it is no configuration file.
    """
    parser = configparser.RawConfigParser()
    try:
        parser.read(path, encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError) as error:
        raise ImageError(
            f"pip's settings cannot be read: {str(error).splitlines()[0]}",
            where=str(path),
            fix="`pip config debug` shows the files that pip reads.",
        ) from None
    settings: dict[str, str] = {}
    for section in SECTIONS:
        if parser.has_section(section):
            settings |= {
                ALIASES.get(name.replace("_", "-"), name.replace("_", "-")): value
                for name, value in parser.items(section)
            }
    return settings
