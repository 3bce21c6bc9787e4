"""Download files from web servers, within limits and never from private addresses.

A host name is resolved once, and connections go to the addresses found then, so that a name cannot lead to a private
address later. Redirects follow the same rules. A proxy resolves names itself. It is used only for files whose digest is
known, and only where the environment names one.
"""

from __future__ import annotations

import email.utils
import http.client
import socket
import ssl
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from urllib.parse import SplitResult, quote, urljoin

from labs.storage.addresses import Proxy, is_public, proxy_for, resolve, split
from labs.storage.failures import DeadHostError, RefusedError, TroubleError

CHUNK_BYTES = 1 << 16
REDIRECTS = 5
USER_AGENT = "labs (images for course practicals)"
ADDRESSES = 2  # IP addresses to try per host
Check = Callable[[http.client.HTTPResponse], None]  # raises a FailedError if the answer is not wanted
_SAFE = "/%:=&?~#+!$,;'@()*[]"  # not to be quoted; an address in a list may contain spaces and any letters


@dataclass
class _Deadline:
    at: float  # on the monotonic clock

    def passed(self) -> bool:
        return time.monotonic() > self.at


class Web:
    """Download files in any number of threads; the caller must call `cut_late` regularly.

    Args:
        timeout: Seconds without any data after which a connection counts as broken.
        seconds_each: Maximum duration of a download, in seconds.
        most_bytes: Maximum size of a file.
        allow_private: Whether to allow private addresses.
        renewing_bytes: Bytes after which `seconds_each` begins anew, so that a large file may take any time but not
            come in drips. None: never.
        proxies: Whether to use the proxies of the environment (`https_proxy`, `http_proxy`, `no_proxy`).
    """

    def __init__(
        self,
        *,
        timeout: float,
        seconds_each: float,
        most_bytes: int,
        allow_private: bool = False,
        renewing_bytes: int | None = None,
        proxies: bool = False,
    ) -> None:
        self.timeout, self.seconds_each, self.most_bytes = timeout, seconds_each, most_bytes
        self.allow_private, self.renewing_bytes, self.proxies = allow_private, renewing_bytes, proxies
        self.stopped = threading.Event()  # set by the caller to stop all downloads
        self._resolved: dict[tuple[str, int], list[str] | str] = {}  # addresses, or why there are none
        self._resolving: dict[tuple[str, int], threading.Lock] = {}
        self._open: dict[socket.socket, _Deadline] = {}
        self._tls = ssl.create_default_context()

    def get(self, url: str, *, start: int = 0, check: Check | None = None) -> Generator[bytes, None, None]:
        """Yield the bytes of a file as they arrive.

        Args:
            url: Address of the file.
            start: First byte to ask for; the host may send the whole file nevertheless.
            check: Looks at the answer before its bytes, and raises a FailedError if they are not wanted.

        Raises:
            RefusedError: The address has no file, or must not be requested.
            TroubleError: The network or the host failed.
        """
        until = _Deadline(time.monotonic() + self.seconds_each)
        for redirects in range(REDIRECTS + 1):
            try:
                location = yield from self._ask(url, until, start, check or check_status)
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

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Call `cut_late` regularly, from another thread, during the block."""
        done = threading.Event()

        def watch() -> None:
            while not done.wait(0.1):
                self.cut_late()

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def cut_late(self) -> None:
        """Close the connections past their deadline; close all of them once `stopped` is set."""
        for connected, until in self._open.copy().items():
            if self.stopped.is_set() or until.passed():
                with suppress(OSError):
                    socket.socket.shutdown(connected, socket.SHUT_RDWR)  # TLS would send a closing message first

    def _ask(self, url: str, until: _Deadline, start: int, check: Check) -> Generator[bytes, None, str | None]:
        """Send one request: yield the bytes of the file, or return where the address redirects to."""
        parts = split(url)
        try:
            with self._connected(parts, until) as connection:
                path = quote(parts.path or "/", _SAFE) + (f"?{quote(parts.query, _SAFE)}" if parts.query else "")
                headers = {"User-Agent": USER_AGENT, "Connection": "close"}
                headers |= {"Range": f"bytes={start}-"} if start else {}
                proxy = self._proxy(parts)
                if proxy and parts.scheme == "http":
                    path, headers = f"http://{parts.netloc}{path}", headers | proxy.headers
                connection.request("GET", path, headers=headers)
                with closing(connection.getresponse()) as response:
                    location = response.headers.get("Location")
                    if response.status in (301, 302, 303, 307, 308) and location:
                        return location.encode("latin-1").decode("utf-8", "replace")  # as browsers read it
                    check(response)
                    yield from self._body(response, until)
        except (OSError, ValueError, http.client.HTTPException) as error:  # ValueError: TLS that was closed
            if until.passed():
                least = self.renewing_bytes
                slow = "not complete after" if least is None else f"fewer than {least:,} bytes in"
                raise TroubleError(f"{slow} {self.seconds_each:g} seconds") from error
            reason = "timed out" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
            raise TroubleError(f"no answer, or an incomplete one ({' '.join(reason.split())[:120]})") from error
        return None

    def _body(self, response: http.client.HTTPResponse, until: _Deadline) -> Iterator[bytes]:
        length, done, renewed = response.length, 0, 0
        if length is not None and length > self.most_bytes:
            raise RefusedError(f"more than {self.most_bytes:,} bytes ({length:,})")
        while chunk := response.read1(CHUNK_BYTES):
            done += len(chunk)
            if done > self.most_bytes:
                raise TroubleError(f"more than {self.most_bytes:,} bytes")
            yield chunk
            if self.renewing_bytes is not None and done >= renewed + self.renewing_bytes and not until.passed():
                renewed, until.at = done, time.monotonic() + self.seconds_each
        if length is not None and done < length:  # http.client reports no error if the connection ends early
            raise OSError(f"broke off after {done:,} of {length:,} bytes")
        if until.passed() or self.stopped.is_set():  # it may have ended because it was closed
            raise TimeoutError

    @contextmanager
    def _connected(self, parts: SplitResult, until: _Deadline) -> Iterator[http.client.HTTPConnection]:
        """Connect to the resolved addresses of a host, and to no others."""
        host, port = str(parts.hostname), parts.port or (443 if parts.scheme == "https" else 80)
        proxy = self._proxy(parts)
        addresses = [proxy.host] if proxy else self._addresses(host, port)
        for number, address in enumerate(addresses, start=1):
            try:
                connected = socket.create_connection((address, proxy.port if proxy else port), self.timeout)
                break
            except OSError:
                if number == len(addresses):
                    raise
        with connected:
            if parts.scheme == "https":
                if proxy:
                    self._tunnel(connected, proxy, f"[{host}]:{port}" if ":" in host else f"{host}:{port}", until)
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

    def _proxy(self, parts: SplitResult) -> Proxy | None:
        """Return the proxy for an address; with one, only addresses that are typed as numbers can be checked here."""
        proxy = proxy_for(parts) if self.proxies else None
        if proxy and not self.allow_private:
            host = str(parts.hostname).rstrip(".")
            with suppress(OSError):  # 127.1, 0x7f000001, 2130706433: other ways to write four numbers
                host = socket.inet_ntoa(socket.inet_aton(host))
            with suppress(ValueError):  # a name
                if not is_public(host):
                    raise RefusedError(f"a private address ({host})", by_host=False)
            if host.rpartition(".")[2] == "localhost":
                raise RefusedError(f"a private address ({host})", by_host=False)
        return proxy

    def _tunnel(self, connected: socket.socket, proxy: Proxy, place: str, until: _Deadline) -> None:
        """Ask a proxy to pass on what follows, which is encrypted."""
        self._open[connected] = until
        try:
            lines = [f"CONNECT {place} HTTP/1.1", f"Host: {place}", *(f"{k}: {v}" for k, v in proxy.headers.items())]
            connected.sendall("".join(f"{line}\r\n" for line in [*lines, ""]).encode("ascii"))
            with closing(http.client.HTTPResponse(connected, method="CONNECT")) as answer:
                answer.begin()
                if answer.status != 200:
                    raise TroubleError(f"the proxy {proxy.host}:{proxy.port} answers {answer.status} {answer.reason}")
        finally:
            del self._open[connected]

    def _addresses(self, host: str, port: int) -> list[str]:
        """Return the IP addresses of a host, which is resolved only once."""
        key = host, port
        with self._resolving.setdefault(key, threading.Lock()):
            if key not in self._resolved:
                self._resolved[key] = resolve(host, port)
        found = self._resolved[key]
        if isinstance(found, str):
            raise DeadHostError(found)
        public = [address for address in found if self.allow_private or is_public(address)]
        if not public:
            raise RefusedError(f"a private address ({host}: {', '.join(found)})", by_host=False)
        return public[:ADDRESSES]


def check_status(response: http.client.HTTPResponse) -> None:
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
