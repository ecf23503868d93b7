"""From where a request comes, and whether that is allowed. No I/O."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

from multidict import MultiMapping

from services.webhook.answers import Outcome, Refused

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address

#: Where each proxy adds the address that it was asked from, at the end.
FORWARDED: Final = "X-Forwarded-For"


def demand_network(
    peer: str | None, headers: MultiMapping[str], allowed: Sequence[Network], proxies: Sequence[Network]
) -> None:
    """Raise `Refused` unless the sender is in an allowed network. None allowed: everyone may pass.

    `peer` is the other end of the connection. Only what a trusted proxy has written is believed: the sender is the last
    one, counted from us, that is none of `proxies`.
    """
    if not allowed:
        return
    sender = _address(peer or "")
    forwarded = [part for value in headers.getall(FORWARDED, []) for part in value.split(",")]
    while forwarded and _within(sender, proxies):
        sender = _address(forwarded.pop())
    if not _within(sender, allowed):
        raise Refused(Outcome.WRONG_NETWORK, "the sender's network is not allowed here")


def _within(address: Address | None, networks: Sequence[Network]) -> bool:
    return address is not None and any(address in network for network in networks)


def _address(text: str) -> Address | None:
    """The address in `1.2.3.4`, `1.2.3.4:567`, `::1` and `[::1]:567`, as proxies write it; None when it is none."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return (isinstance(address, IPv6Address) and address.ipv4_mapped) or address
