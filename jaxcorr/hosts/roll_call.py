"""A roll call of the processes of a run, before JAX connects them.

JAX ends a process that cannot connect by a failed check, after which nobody knows which
process was missing. So all processes first report at the port of the coordinator, and
each learns who is missing.
"""

import contextlib
import json
import socket
import time
import uuid
from collections.abc import Iterator, Mapping

from jaxcorr.errors import TransientError, UserError

ANSWER_SECONDS = 15
"""Seconds beyond the time limit in which process 0 answers the others."""
SILENCE_SECONDS = 5
"""Seconds after which a connection that says nothing is given up."""
RETRY_SECONDS = 0.5
MESSAGE_BYTES = 4096


def call_roll(address: str, *, count: int, index: int, seconds: int) -> None:
    """Waits until all processes of a run have reported.

    Args:
      address: Host and port of process 0.
      count: Number of processes.
      index: Number of this process.
      seconds: Seconds after which those that are missing are given up.

    Raises:
      TransientError: If processes are missing.
      UserError: If two have the same number, or they do not agree on how many there
        are.
    """
    deadline = time.monotonic() + seconds
    if index == 0:
        _collect(address, count, deadline, seconds)
    else:
        _report(address, count, index, deadline, seconds)


def _collect(address: str, count: int, deadline: float, seconds: int) -> None:
    """Collects the reports of the others, and tells all of them the outcome."""
    reports = {0: {"host": socket.gethostname(), "token": ""}}
    problem: UserError | None = None
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(_listen(address))
        connections: list[socket.socket] = []
        while len(reports) < count and not problem:
            server.settimeout(max(deadline - time.monotonic(), 0.01))
            try:
                connection = stack.enter_context(server.accept()[0])
                connection.settimeout(SILENCE_SECONDS)
                report = _receive(connection)
            except TimeoutError:
                if time.monotonic() < deadline:
                    continue  # A connection that says nothing.
                problem = TransientError(_missing(reports, count, seconds))
                break
            except (OSError, ValueError):
                continue  # Not one of ours, such as the probe of a load balancer.
            connections.append(connection)
            problem = _add(reports, report, count)
        for connection in connections:
            with contextlib.suppress(OSError):
                _send(connection, _answer(problem))
                # Whoever closes first keeps the port for a minute.
                connection.recv(1)
    if problem is not None:
        raise problem


def _answer(problem: UserError | None) -> dict:
    """Returns the message of process 0 to the others."""
    return {
        "problem": "" if problem is None else str(problem),
        "may_pass": isinstance(problem, TransientError),
    }


def _add(reports: dict[int, dict], report: dict, count: int) -> UserError | None:
    """Adds a report to those of the others. Returns the problem, if there is one."""
    index, host = report["index"], report["host"]
    if report["count"] != count:
        return UserError(
            f"process {index} ({host}) expects {report['count']} processes, but "
            f"process 0 ({reports[0]['host']}) expects {count}: start all with one "
            "number of processes"
        )
    before = reports.setdefault(index, report)
    if before["token"] != report["token"]:  # Equal if its connection broke.
        return UserError(
            f"two processes have the number {index}, on {before['host']} and on "
            f"{host}: give each a --distributed.process-id of its own"
        )
    return None


def _missing(reports: Mapping[int, dict], count: int, seconds: int) -> str:
    """Returns the message that some processes are missing."""
    missing = [str(index) for index in range(count) if index not in reports]
    names = ", ".join(missing[:8]) + (", …" if len(missing) > 8 else "")
    return (
        f"{'process' if len(missing) == 1 else 'processes'} {names} of {count} did not "
        f"connect within {seconds} s: see their output, or allow more "
        "--distributed.timeout"
    )


def _report(
    address: str, count: int, index: int, deadline: float, seconds: int
) -> None:
    """Reports to process 0, and waits for its answer."""
    reason, target = "no answer", _split(address)
    report = {
        "index": index,
        "count": count,
        "host": socket.gethostname(),
        "token": uuid.uuid4().hex,
    }
    while (left := deadline - time.monotonic()) > 0:
        try:
            with socket.create_connection(target, timeout=left) as connection:
                _send(connection, report)
                connection.settimeout(left + ANSWER_SECONDS)
                answer = _receive(connection)
        except (OSError, ValueError) as error:
            reason = str(error) or type(error).__name__
            time.sleep(RETRY_SECONDS)
            continue
        if answer["problem"]:
            kind = TransientError if answer["may_pass"] else UserError
            raise kind(answer["problem"])
        return
    raise TransientError(
        f"process 0 cannot be reached at {address} within {seconds} s ({reason}): "
        "start it, or correct the address of the coordinator"
    )


def _listen(address: str) -> socket.socket:
    """Listens at the port of the coordinator, on all networks of this host."""
    _, port = _split(address)
    both = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if both else socket.AF_INET
    try:
        return socket.create_server(("", port), family=family, dualstack_ipv6=both)
    except OSError as error:
        raise UserError(
            f"process 0 cannot listen at port {port} of {socket.gethostname()}: "
            f"{error.strerror}; give another port to all processes"
        ) from error


def _split(address: str) -> tuple[str, int]:
    """Splits an address into host and port."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise UserError(
            "the address of the coordinator must be HOST:PORT, such as 10.0.0.1:8476, "
            f"but is {address!r}"
        )
    return host.strip("[]"), int(port)


def _send(connection: socket.socket, message: Mapping) -> None:
    connection.sendall(json.dumps(message).encode() + b"\n")


def _receive(connection: socket.socket) -> dict:
    """Receives a message. Raises an OSError or a ValueError where there is none."""
    return json.loads(b"".join(_read_line(connection)))


def _read_line(connection: socket.socket) -> Iterator[bytes]:
    length = 0
    while length < MESSAGE_BYTES:
        part = connection.recv(MESSAGE_BYTES)
        if not part:
            raise ConnectionError("the other side closed the connection")
        yield part
        length += len(part)
        if part.endswith(b"\n"):
            return
