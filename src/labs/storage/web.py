"""Download files from web servers, within limits and never from private addresses.

A host name is resolved once, and connections go to the addresses found then, so that a name cannot lead to a private
address later. Redirects follow the same rules. Proxies are not used, because they would resolve names again.
"""

from __future__ import annotations

import email.utils
import http.client
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager, suppress
from urllib.parse import SplitResult, quote, urljoin, urlsplit

CHUNK_BYTES = 1 << 16
REDIRECTS = 5
USER_AGENT = "labs (images for course practicals)"
ADDRESSES = 2  # IP addresses to try per host
_WRAPPING = tuple(map(ipaddress.IPv6Network, ("::/96", "64:ff9b::/96")))  # their last 32 bits are an IPv4 address
_SAFE = "/%:=&?~#+!$,;'@()*[]"  # not to be quoted; an address in a list may contain spaces and any letters


class FailedError(Exception):
    """A download failed. The text is the same for each kind of failure, with details in parentheses."""


class RefusedError(FailedError):
    """The failure is permanent.

    Attributes:
        by_host: Whether the host refused; otherwise it was not asked.
    """

    def __init__(self, why: str, *, by_host: bool = True) -> None:
        super().__init__(why)
        self.by_host = by_host


class TroubleError(FailedError):
    """The failure may be temporary.

    Attributes:
        wait: Seconds that the host asks to wait, if any.
    """

    def __init__(self, why: str, wait: float | None = None) -> None:
        super().__init__(why)
        self.wait = wait


class DeadHostError(TroubleError):
    """The host cannot be found, so that all its files fail."""


class Web:
    """Download files in any number of threads; the caller must call `cut_late` regularly.

    Args:
        timeout: Seconds without any data after which a connection counts as broken.
        seconds_each: Maximum duration of a download, in seconds.
        most_bytes: Maximum size of a file.
        allow_private: Whether to allow private addresses.
    """

    def __init__(self, *, timeout: float, seconds_each: float, most_bytes: int, allow_private: bool = False) -> None:
        self.timeout, self.seconds_each, self.most_bytes = timeout, seconds_each, most_bytes
        self.allow_private = allow_private
        self.stopped = threading.Event()  # set by the caller to stop all downloads
        self._resolved: dict[tuple[str, int], list[str] | str] = {}  # addresses, or why there are none
        self._resolving: dict[tuple[str, int], threading.Lock] = {}
        self._open: dict[socket.socket, float] = {}  # deadline of each connection
        self._tls = ssl.create_default_context()

    def get(self, url: str) -> Generator[bytes, None, None]:
        """Yield the bytes of a file as they arrive.

        Raises:
            RefusedError: The address has no file, or must not be requested.
            TroubleError: The network or the host failed.
        """
        until = time.monotonic() + self.seconds_each
        for redirects in range(REDIRECTS + 1):
            try:
                location = yield from self._ask(url, until)
            except DeadHostError as error:
                if redirects:
                    raise RefusedError(f"a redirect to a host that has no address ({url})") from error
                raise
            if location is None:
                return
            try:
                target = urljoin(url, location)
            except ValueError as error:
                raise RefusedError(f"not an http(s) address ({error})") from error
            if url.startswith("https:") and not target.startswith("https:"):
                raise RefusedError(f"a redirect from https to something else ({target})")
            url = target
        raise RefusedError(f"more than {REDIRECTS} redirects")

    def cut_late(self) -> None:
        """Close the connections past their deadline; close all of them once `stopped` is set."""
        for connected, until in self._open.copy().items():
            if self.stopped.is_set() or time.monotonic() > until:
                with suppress(OSError):
                    socket.socket.shutdown(connected, socket.SHUT_RDWR)  # TLS would send a closing message first

    def _ask(self, url: str, until: float) -> Generator[bytes, None, str | None]:
        """Send one request: yield the bytes of the file, or return where the address redirects to."""
        parts = split(url)
        try:
            with self._connected(parts, until) as connection:
                path = quote(parts.path or "/", _SAFE) + (f"?{quote(parts.query, _SAFE)}" if parts.query else "")
                connection.request("GET", path, headers={"User-Agent": USER_AGENT, "Connection": "close"})
                with closing(connection.getresponse()) as response:
                    location = response.headers.get("Location")
                    if response.status in (301, 302, 303, 307, 308) and location:
                        return location.encode("latin-1").decode("utf-8", "replace")  # as browsers read it
                    _check_status(response)
                    yield from self._body(response, until)
        except (OSError, ValueError, http.client.HTTPException) as error:  # ValueError: TLS that was closed
            if time.monotonic() > until:
                raise TroubleError(f"not complete after {self.seconds_each:g} seconds") from error
            reason = "timed out" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
            raise TroubleError(f"no answer, or an incomplete one ({' '.join(reason.split())[:120]})") from error
        return None

    def _body(self, response: http.client.HTTPResponse, until: float) -> Iterator[bytes]:
        length, done = response.length, 0
        if length is not None and length > self.most_bytes:
            raise RefusedError(f"more than {self.most_bytes:,} bytes ({length:,})")
        while chunk := response.read1(CHUNK_BYTES):
            done += len(chunk)
            if done > self.most_bytes:
                raise TroubleError(f"more than {self.most_bytes:,} bytes")
            yield chunk
        if length is not None and done < length:  # http.client reports no error if the connection ends early
            raise OSError(f"broke off after {done:,} of {length:,} bytes")
        if time.monotonic() > until or self.stopped.is_set():  # it may have ended because it was closed
            raise TimeoutError

    @contextmanager
    def _connected(self, parts: SplitResult, until: float) -> Iterator[http.client.HTTPConnection]:
        """Connect to the resolved addresses of a host, and to no others."""
        host, port = str(parts.hostname), parts.port or (443 if parts.scheme == "https" else 80)
        addresses = self._addresses(host, port)
        for number, address in enumerate(addresses, start=1):
            try:
                connected = socket.create_connection((address, port), self.timeout)
                break
            except OSError:
                if number == len(addresses):
                    raise
        with connected:
            if parts.scheme == "https":
                name = host.encode("idna").decode()
                connected = self._tls.wrap_socket(connected, server_hostname=name, do_handshake_on_connect=False)
            self._open[connected] = until
            try:
                with connected, closing(http.client.HTTPConnection(host, port)) as connection:
                    if isinstance(connected, ssl.SSLSocket):
                        connected.do_handshake()
                        connection.default_port = 443  # so that the header `Host` does not name the port
                    connection.sock = connected
                    yield connection
            finally:
                del self._open[connected]

    def _addresses(self, host: str, port: int) -> list[str]:
        """Return the IP addresses of a host, which is resolved only once."""
        key = host, port
        with self._resolving.setdefault(key, threading.Lock()):
            if key not in self._resolved:
                self._resolved[key] = _resolve(host, port)
        found = self._resolved[key]
        if isinstance(found, str):
            raise DeadHostError(found)
        public = [address for address in found if self.allow_private or is_public(address)]
        if not public:
            raise RefusedError(f"a private address ({host}: {', '.join(found)})", by_host=False)
        return public[:ADDRESSES]


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


def _resolve(host: str, port: int) -> list[str] | str:
    """Return the IP addresses of a host, or why it has none."""
    try:
        rows = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        return f"its host has no address ({getattr(error, 'strerror', None) or error})"
    return list(dict.fromkeys(str(row[4][0]) for row in rows))


def _check_status(response: http.client.HTTPResponse) -> None:
    """Raise an error unless the response contains the file."""
    if response.status == 200:
        return
    why = f"{response.status} {http.client.responses.get(response.status, '')}".strip()
    if response.status in (408, 429) or response.status >= 500:
        raise TroubleError(why, _seconds(response.headers.get("Retry-After")))
    raise RefusedError(why)


def _seconds(retry_after: str | None) -> float | None:
    """Parse the header `Retry-After`, which holds seconds or a date."""
    if retry_after is None:
        return None
    with suppress(ValueError, TypeError, OverflowError):
        if retry_after.strip().isdecimal():
            return float(retry_after)
        return max(0.0, email.utils.parsedate_to_datetime(retry_after).timestamp() - time.time())
    return None
