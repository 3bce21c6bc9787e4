"""Addresses on the web: whether they may be asked, where their hosts are, and through which proxy."""

from __future__ import annotations

import base64
import ipaddress
import socket
import urllib.request
from typing import NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit

from labs.storage.failures import RefusedError

_WRAPPING = tuple(map(ipaddress.IPv6Network, ("::/96", "64:ff9b::/96")))  # their last 32 bits are an IPv4 address


def split(url: str) -> SplitResult:
    """Split an http(s) address into its parts.

    Raises:
        RefusedError: It is not an http(s) address.
    """
    try:
        parts = urlsplit(url.strip())
        _ = parts.port  # raises ValueError if it is not a number
    except ValueError as error:
        raise RefusedError(f"not an http(s) address ({error})", by_host=False) from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise RefusedError("not an http(s) address", by_host=False)
    return parts


def is_public(address: str) -> bool:
    """Return whether an IP address is public, also if it is an IPv6 address that wraps an IPv4 address.

    Examples:
        >>> [is_public(a) for a in ("8.8.8.8", "10.0.0.1", "169.254.169.254", "::ffff:127.0.0.1", "64:ff9b::a00:1")]
        [True, False, False, False, False]
        >>> is_public("::127.0.0.1"), is_public("::1"), is_public("2606:4700::1")
        (False, False, True)
    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        wrapped = ip.ipv4_mapped or ip.sixtofour
        if any(ip in network for network in _WRAPPING):
            wrapped = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        ip = wrapped or ip
    return ip.is_global and not ip.is_multicast


def resolve(host: str, port: int) -> list[str] | str:
    """Return the IP addresses of a host, or why it has none."""
    try:
        rows = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        return f"its host has no address ({getattr(error, 'strerror', None) or error})"
    return list(dict.fromkeys(str(row[4][0]) for row in rows))


class Proxy(NamedTuple):
    """A proxy from the environment."""

    host: str
    port: int
    headers: dict[str, str]  # the user's name and password for the proxy, if any


def proxy_for(parts: SplitResult) -> Proxy | None:
    """Return the proxy that the environment names for an address, or None.

    Raises:
        RefusedError: The variable does not hold an http address.
    """
    found = urllib.request.getproxies().get(parts.scheme, "")
    if not found or urllib.request.proxy_bypass(parts.netloc.rpartition("@")[2]):
        return None
    proxy = urlsplit(found if "://" in found else f"http://{found}")
    if proxy.scheme != "http" or not proxy.hostname:
        raise RefusedError(f"{parts.scheme}_proxy is not an http address", by_host=False)
    typed = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}" if proxy.username else ""
    headers = {"Proxy-Authorization": f"Basic {base64.b64encode(typed.encode()).decode()}"} if typed else {}
    return Proxy(proxy.hostname, proxy.port or 80, headers)
