"""Where the token may be sent: the API server and the hosts of `RC_MEDIA_HOSTS`, and nowhere else."""

import re
from collections.abc import Sequence
from typing import Final

import httpx

from common.ringcentral.errors import ForeignHost
from common.settings import SettingsError

#: An entry of `RC_MEDIA_HOSTS`.
_HOST: Final = re.compile(r"[A-Za-z0-9.-]+(:[0-9]+)?")
#: The ports that a URL need not name (facts 4.2: `contentUri` comes with and without).
_PORTS: Final = {"http": 80, "https": 443}


class AllowedHosts:
    """Raises `SettingsError`, which ends the process, when an entry is no host."""

    def __init__(self, server_url: httpx.URL, media_hosts: Sequence[str]) -> None:
        self._schemes = {"https", server_url.scheme}
        self._places = {_place(server_url), *map(_place_of_host, media_hosts)}

    def check(self, url: httpx.URL) -> None:
        """Raise `ForeignHost` unless the token may be sent there; never in clear text, if the API server has TLS."""
        if url.userinfo or _place(url) not in self._places:
            raise ForeignHost(_refusal_of(_place(url)))
        if url.scheme not in self._schemes:
            raise ForeignHost(f"the host {url.host} would be reached without TLS")


def refusals_of(media_hosts: Sequence[str]) -> list[str]:
    """With which sentences these hosts are refused while they are not allowed; raises `SettingsError` for no host."""
    return [_refusal_of(_place_of_host(host)) for host in media_hosts]


def joined(base: httpx.URL, url: str) -> httpx.URL:
    """The URL as it will be asked: what is checked is what is sent. Raises `ForeignHost` when it cannot be read."""
    try:
        return base.join(url)
    except (httpx.InvalidURL, ValueError):
        raise ForeignHost("the URL cannot be read") from None


def _refusal_of(place: tuple[str, int]) -> str:
    """Names the host as the setting takes it."""
    name, port = place
    return f"the host {name if port == 443 else f'{name}:{port}'} is not in RC_MEDIA_HOSTS"


def _place(url: httpx.URL) -> tuple[str, int]:
    return url.host, url.port or _PORTS.get(url.scheme, 0)


def _place_of_host(host: str) -> tuple[str, int]:
    name, _, port = host.partition(":")
    if not _HOST.fullmatch(host) or int(port or 443) not in range(1, 65536):
        raise SettingsError("RC_MEDIA_HOSTS is not valid: give hosts, each as host or host:port, with commas between.")
    return _place(httpx.URL(scheme="https", host=name, port=int(port or 443)))
