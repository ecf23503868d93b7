"""The token goes to the hosts that were named, and nowhere else."""

import httpx
import pytest

from common.ringcentral.errors import ForeignHost
from common.ringcentral.hosts import AllowedHosts, joined
from common.settings import SettingsError

SERVER = httpx.URL("https://platform.example")


@pytest.mark.parametrize(
    "url",
    [
        "/restapi/v1.0/account/~",
        "https://platform.example/x",
        "https://PLATFORM.example:443/x",
        "https://media.example/x",
        "https://media.example:443/x",
        "//media.example/x",
    ],
)
def test_allowed_hosts_are_asked_with_and_without_the_port_that_goes_without_saying(url: str) -> None:
    AllowedHosts(SERVER, ["media.example"]).check(joined(SERVER, url))


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/x",
        "//evil.example/x",
        "https://media.example.evil.example/x",
        "https://media.example@evil.example/x",
        "https://media.example:443@evil.example/x",
        "https://evil.example/media.example",
        "https://evil.example?media.example",
        "https://evil.example#@media.example",
        "https://media.example:8443/x",
        "https://evilmedia.example/x",
        "http://media.example/x",
        "http://media.example:443/x",
        "ftp://media.example:443/x",
        "file:///etc/passwd",
        "https://media.example:99999/x",
        "https://[media.example/x",
        "https:media.example",
        "https:///media.example/x",
        "\\\\media.example\\x",
        "https://evil.example\\@media.example/x",
    ],
)
def test_whatever_else_is_refused(url: str) -> None:
    hosts = AllowedHosts(httpx.URL("https://api.example"), ["media.example"])
    with pytest.raises(ForeignHost):
        hosts.check(joined(httpx.URL("https://other.example"), url))


def test_an_api_server_without_tls_is_for_trying_out_and_its_media_host_may_be_so_too() -> None:
    server = httpx.URL("http://127.0.0.1:8000")
    AllowedHosts(server, ["127.0.0.1:9000"]).check(httpx.URL("http://127.0.0.1:9000/x"))


@pytest.mark.parametrize("host", ["https://media.example", "media.example/x", "media.example:99999", "a b", "*"])
def test_an_entry_that_is_no_host_ends_the_process_with_a_sentence(host: str) -> None:
    with pytest.raises(SettingsError, match="RC_MEDIA_HOSTS"):
        AllowedHosts(SERVER, [host])
