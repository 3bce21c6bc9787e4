"""What holds while somebody's run directory is read."""

from __future__ import annotations

import socket
import urllib.request

import pytest
import torch

from labs import LabsError
from labs.runs.guarded import bounded_memory, without_network


def test_nothing_is_asked_and_no_name_is_looked_up() -> None:
    with without_network("run=theirs"), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened:
        for ask in (
            lambda: socket.create_connection(("127.0.0.1", 9)),
            lambda: socket.getaddrinfo("localhost", 80),
            lambda: urllib.request.urlopen("http://127.0.0.1:9/x"),
            lambda: opened.sendto(b"x", ("127.0.0.1", 9)),
            lambda: socket.gethostbyaddr("127.0.0.1"),
            lambda: socket.getnameinfo(("127.0.0.1", 9), 0),
        ):
            with pytest.raises(LabsError, match=r"^run=theirs: it asks for the network"):
                ask()


def test_afterwards_and_in_what_is_trusted_the_network_is_as_before() -> None:
    with without_network("run=theirs"):
        pass
    with without_network(""):
        assert socket.getaddrinfo("127.0.0.1", 80)
    assert socket.getaddrinfo("127.0.0.1", 80)


def test_what_does_not_fit_is_refused_before_it_is_filled() -> None:
    with bounded_memory(1 << 20):
        torch.nn.Linear(100, 100)
        for make in (
            lambda: torch.empty(1 << 40),
            lambda: torch.ones(1 << 20),
            lambda: [torch.nn.Linear(100, 100) for _ in range(1000)],
        ):
            with pytest.raises((LabsError, RuntimeError), match=r"it asks for tensors of|can't allocate"):
                make()
    torch.ones(1 << 20)


def test_what_is_computed_again_and_again_counts_once() -> None:
    with bounded_memory(1 << 20):
        image = torch.rand(100, 100)
        for _ in range(1000):
            image = image * 2
