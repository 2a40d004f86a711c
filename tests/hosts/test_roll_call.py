"""Processes that report before they connect, here in threads."""

import socket
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.processes import free_port

from jaxcorr.errors import TransientError, UserError
from jaxcorr.hosts import roll_call


def call(*processes, seconds=60, address=None):
    """Calls the roll of (count, index) pairs. Returns the problem of each, if any."""
    address = address or f"127.0.0.1:{free_port()}"

    def report(process):
        count, index = process
        try:
            roll_call.call_roll(address, count=count, index=index, seconds=seconds)
        except UserError as error:
            return error
        return None

    with ThreadPoolExecutor(len(processes)) as pool:
        return list(pool.map(report, processes))


def test_all_processes_find_each_other_and_free_the_port():
    address = f"127.0.0.1:{free_port()}"
    for _ in range(2):  # JAX listens at the same port next.
        assert call((3, 2), (3, 0), (3, 1), address=address) == [None] * 3


def test_all_learn_who_is_missing():
    problems = call((3, 0), (3, 1), seconds=1)
    assert [type(problem) for problem in problems] == [TransientError] * 2
    assert str(problems[0]) == str(problems[1])
    assert "process 2 of 3 did not connect within 1 s" in str(problems[0])


def test_two_processes_with_one_number_are_refused():
    problems = call((3, 0), (3, 1), (3, 1))
    assert all("two processes have the number 1" in str(x) for x in problems[:1])


def test_processes_that_expect_other_numbers_are_refused():
    first, second = call((3, 0), (2, 1))
    assert type(first) is type(second) is UserError and str(first) == str(second)
    assert "expects 2 processes, but process 0" in str(first)


def test_a_stranger_at_the_port_changes_nothing():
    port = free_port()
    address = f"127.0.0.1:{port}"
    with ThreadPoolExecutor(1) as pool:
        others = pool.submit(call, (2, 0), address=address)
        for text in (b"GET / HTTP/1.0\r\n\r\n", b""):
            while True:
                try:
                    with socket.create_connection(("127.0.0.1", port)) as stranger:
                        stranger.sendall(text)
                    break
                except ConnectionRefusedError:
                    continue
        assert call((2, 1), address=address) == [None]
        assert others.result() == [None]


@pytest.mark.parametrize("address", ["10.0.0.1", "host:port", ":1"])
def test_an_address_without_host_or_port_is_refused(address):
    with pytest.raises(UserError, match="must be HOST:PORT"):
        roll_call.call_roll(address, count=2, index=1, seconds=1)
