"""Send many requests to many hosts in parallel, but only a few at a time to each host, with pauses and limits."""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from labs.storage.addresses import split
from labs.storage.failures import DeadHostError, FailedError, RefusedError, TroubleError
from labs.storage.web import Web

PER_HOST = 4  # threads per host
HOST_FAILURES = 5  # consecutive failures after which a host is given up
DEAD_HOSTS = 200  # hosts that failed without any answer in between: then the network counts as down
WAIT_MOST = 60.0  # longest pause that a host may ask for
BACKOFF_SECONDS = 1.0  # wait before the first retry; doubles with each further retry
FAREWELL_SECONDS = 2.0  # time for threads to end: one that waits for a DNS lookup cannot be interrupted

Task = TypeVar("Task")
Result = TypeVar("Result")


@dataclass
class _Host(Generic[Task]):
    """The remaining tasks of one host, and its state."""

    waiting: deque[Task] = field(default_factory=deque)
    not_before: float = 0.0  # on the monotonic clock
    failures: int = 0  # consecutive
    answered: bool = False
    given_up: str = ""


class Polite(Generic[Task, Result]):
    """Run tasks in threads, where each thread serves one host at a time; the tasks of a host keep their order.

    Args:
        web: Downloads for the tasks; it is monitored and stopped here.
        do: Makes one attempt at a task; raises a FailedError if it fails.
        tasks: Pairs of address and task.
        retries: Retries after temporary failures.
    """

    def __init__(
        self, web: Web, do: Callable[[Task], Result], tasks: Iterable[tuple[str, Task]], *, retries: int
    ) -> None:
        self.web, self.do, self.retries = web, do, retries
        self._hosts: dict[str, _Host[Task]] = {}
        for url, task in tasks:
            self._hosts.setdefault(host_of(url), _Host()).waiting.append(task)
        self.count = sum(len(host.waiting) for host in self._hosts.values())
        self._failing: set[int] = set()  # hosts that failed since the last answer of any host
        self._lock = threading.Lock()
        self._done: queue.SimpleQueue[tuple[Task, Result | FailedError] | Exception] = queue.SimpleQueue()

    def results(self, workers: int) -> Iterator[tuple[Task, Result | FailedError]]:
        """Yield each task when it is done, with its result or its error; stop early if the network is down.

        Raises:
            Exception: any error of a task that is not a FailedError.
        """
        turns: queue.SimpleQueue[_Host[Task]] = queue.SimpleQueue()
        for _ in range(PER_HOST):  # first one thread per host
            for host in self._hosts.values():
                turns.put(host)
        threads = [threading.Thread(target=self._work, args=(turns,), daemon=True) for _ in range(workers)]
        for thread in threads:
            thread.start()
        try:
            while any(thread.is_alive() for thread in threads) or not self._done.empty():
                self.web.cut_late()
                try:
                    done = self._done.get(timeout=0.1)
                except queue.Empty:
                    continue
                if isinstance(done, Exception):
                    raise done
                yield done
        finally:  # also after Ctrl-C
            self.web.stopped.set()
            until = time.monotonic() + FAREWELL_SECONDS
            for thread in threads:
                self.web.cut_late()
                thread.join(max(0.0, until - time.monotonic()))

    def is_lasting(self, url: str) -> bool:
        """Return whether a failure is permanent: the host still answers, or never answered while other hosts do."""
        host = self._hosts[host_of(url)]
        if host.answered:
            return not host.given_up
        no_network = len(self._failing) >= DEAD_HOSTS and id(host) in self._failing
        return not no_network and any(other.answered for other in self._hosts.values())

    def _work(self, turns: queue.SimpleQueue[_Host[Task]]) -> None:
        try:
            with suppress(queue.Empty):
                while not self.web.stopped.is_set():
                    host = turns.get_nowait()
                    with suppress(IndexError):  # no task is left
                        while not self.web.stopped.is_set():
                            task = host.waiting.popleft()
                            result = self._attempts(task, host)
                            if result is not None:
                                self._done.put((task, result))
        except Exception as error:  # a disk error or a bug: `results` raises it again
            self._done.put(error)

    def _attempts(self, task: Task, host: _Host[Task]) -> Result | FailedError | None:
        """Return a task's result or its error; None if it was stopped before."""
        for attempt in range(self.retries + 1):
            if host.given_up:
                break
            if self.web.stopped.wait(max(0.0, host.not_before - time.monotonic())):
                return None
            try:
                result = self.do(task)
            except TroubleError as error:
                if self.web.stopped.is_set():
                    return None
                self._note_trouble(host, error, attempt)
                trouble = error
            except RefusedError as error:
                if error.by_host:
                    self._note_answer(host)
                return error
            else:
                self._note_answer(host)
                return result
        return TroubleError(host.given_up) if host.given_up else trouble

    def _note_answer(self, host: _Host[Task]) -> None:
        with self._lock:
            host.failures, host.answered = 0, True
            self._failing.clear()

    def _note_trouble(self, host: _Host[Task], error: TroubleError, attempt: int) -> None:
        with self._lock:
            host.failures += 1
            self._failing.add(id(host))
            pause = BACKOFF_SECONDS * 2**attempt if error.wait is None else error.wait
            host.not_before = max(host.not_before, time.monotonic() + pause)
            if isinstance(error, DeadHostError):
                host.given_up = str(error)
            elif pause > WAIT_MOST:
                host.given_up = f"its host asks to wait too long ({pause:.0f} seconds)"
            elif host.failures >= HOST_FAILURES:
                host.given_up = f"its host failed {HOST_FAILURES} times in a row (last error: {error})"
            if len(self._failing) >= DEAD_HOSTS:
                self.web.stopped.set()


def host_of(url: str) -> str:
    """Return the host and port of an address, or an empty string if the address is not valid."""
    try:
        return split(url).netloc.lower()
    except RefusedError:
        return ""
