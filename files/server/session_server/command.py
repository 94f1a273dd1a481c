"""The workload `command`: one run of a program for each session, the request in, its standard output out."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from session_server import family
from session_server.interpreter import obstacle
from session_server.request import Request
from session_server.workload import ClientLostError, InvalidRequestError, WorkFailedError

MAX_REQUEST_BYTES = 16 * 1024
"""Longest request, without its newline: what the queue can send again, and less than an argument may have."""

PLACEHOLDER = "{request}"

HALF_CLOSE_WINDOW = 0.5
"""Seconds after the request in which an end of the client's stream is its end of input, as of `nc -N`; later
it means that the client has left. The network cannot tell them apart. The queue draws the same line."""

KEEPALIVE = ((socket.TCP_KEEPIDLE, 10), (socket.TCP_KEEPINTVL, 10), (socket.TCP_KEEPCNT, 3))
"""Seconds, seconds and probes that show whether a client is still there whose stream has ended already."""

STDERR_KEPT = 2000
STDERR_SHOWN = 300
SHOWN = 200
"""Bytes or characters: what is kept of standard error, shown of it in an error, and logged of a request."""

KILL_PATIENCE = 5.0
"""Seconds until processes that were killed must have gone."""

TICK = 1.0
"""Seconds between two looks at the clock and at orphans that have ended."""


@dataclass(frozen=True)
class CommandSettings:
    """What is run, and what it may take."""

    argv: Sequence[str]
    """Program and arguments; PLACEHOLDER in an argument stands for the request. No shell sees them."""
    max_seconds: float
    """The longest run."""
    max_output: int
    """Bytes of standard output that a reply can have."""
    kill_on_disconnect: bool
    """Whether the program is killed when its client has gone."""


class Command:
    """The workload."""

    max_request_bytes = MAX_REQUEST_BYTES

    def __init__(self, settings: CommandSettings) -> None:
        """Raise OSError when the kernel lacks what it takes to watch the program and to contain it."""
        self.broken = False
        self._settings = settings
        family.adopt_orphans()
        os.close(os.pidfd_open(os.getpid()))

    def describe(self) -> dict[str, object]:
        """Return the fields for the log's first line."""
        return {"max_seconds": self._settings.max_seconds, "command": list(self._settings.argv)}

    def work(self, request: Request, fields: dict[str, object]) -> bytes:
        """Run the program to its end, and return the host name and what it has written, a line apart.

        Nothing that it has started outlives the session.
        """
        while not request.complete:
            request.go_on()
        line = check_request(request.line)
        fields["request"] = line.decode(errors="backslashreplace")[:SHOWN]
        request.refuse_more()
        try:
            run = _Run(self._settings, line)
        except OSError as error:
            program = self._settings.argv[0]
            raise WorkFailedError(f"cannot start {program}: {obstacle(program, error)}") from error
        try:
            run.watch(request)
        finally:
            try:
                run.end()
            except (family.NotContainedError, subprocess.TimeoutExpired) as error:
                self.broken = True
                raise WorkFailedError(f"the program cannot be ended ({error}); this server ends") from error
            finally:
                fields |= run.told()
        request.refuse_more()
        return socket.gethostname().encode() + b"\n" + run.result()


def check_request(request: bytes) -> bytes:
    """Return the line that the program gets.

    Raises InvalidRequestError when it is empty, too long, or holds a zero byte, which no argument can.
    """
    line = request.removesuffix(b"\r")
    if len(request) > MAX_REQUEST_BYTES:
        raise InvalidRequestError(
            f"request longer than {MAX_REQUEST_BYTES} bytes; send a shorter line, such as the name of a file"
        )
    if not line.strip():
        raise InvalidRequestError("the request is empty; send a line of text")
    if b"\0" in line:
        raise InvalidRequestError("the request holds a zero byte; send a line of text")
    return line


class _Run:
    """One run of the program, and what has come of it so far."""

    def __init__(self, settings: CommandSettings, line: bytes) -> None:
        """Start the program; raises OSError when that cannot be done."""
        self._settings = settings
        self._output = bytearray()
        self._stderr = bytearray()
        argv = [os.fsencode(part).replace(os.fsencode(PLACEHOLDER), line) for part in settings.argv]
        with _file_of(line + b"\n") as stdin:
            # In a session of its own: a signal from the terminal is for the server alone.
            self._child = subprocess.Popen(
                argv, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
            )
        assert self._child.stdout is not None
        assert self._child.stderr is not None
        self._pipes = {self._child.stdout.fileno(): self._output, self._child.stderr.fileno(): self._stderr}
        for pipe in self._pipes:
            os.set_blocking(pipe, False)

    def watch(self, request: Request) -> None:
        """Collect output until the program has ended.

        Raises WorkFailedError when it takes too long or writes too much, ClientLostError when nobody waits
        for it any more, InvalidRequestError when more of the request comes.
        """
        connection = request.connection
        begun = time.monotonic()
        ended = os.pidfd_open(self._child.pid)
        poll = select.poll()
        for readable in (ended, *self._pipes):
            poll.register(readable, select.POLLIN)
        if self._settings.kill_on_disconnect:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for option, value in KEEPALIVE:
                connection.setsockopt(socket.IPPROTO_TCP, option, value)
            poll.register(connection, select.POLLIN)
        try:
            while True:
                left = self._settings.max_seconds - (time.monotonic() - begun)
                if left <= 0:
                    raise WorkFailedError(
                        f"the program was stopped after {self._settings.max_seconds:g} seconds, the longest "
                        "that a session may take"
                    )
                events = dict(poll.poll(1000 * min(left, TICK)))
                for pipe in self._pipes.keys() & events.keys():
                    if not self._read(pipe):
                        poll.unregister(pipe)
                if ended in events:
                    return
                if what := events.get(connection.fileno()):
                    reset = what != select.POLLIN
                    closed = reset or not request.refuse_more()
                    if reset or (closed and time.monotonic() - begun > HALF_CLOSE_WINDOW):
                        raise ClientLostError("the client left, the program was killed")
                    if closed:
                        poll.modify(connection, 0)  # from now on only for a reset
                family.reap_orphans(self._child.pid)
        finally:
            os.close(ended)

    def end(self) -> None:
        """Kill whatever still runs, and take what is left in the pipes.

        Raises family.NotContainedError or subprocess.TimeoutExpired when something cannot be killed.
        """
        try:
            # Before the child is collected, while its id cannot be anybody else's.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._child.pid, signal.SIGKILL)
            self._child.wait(KILL_PATIENCE)
            family.end_all(KILL_PATIENCE)
            with contextlib.suppress(WorkFailedError):  # as result() will say
                for pipe in self._pipes:
                    while self._read(pipe):
                        pass
        finally:
            for stream in (self._child.stdout, self._child.stderr):
                assert stream is not None
                stream.close()

    def result(self) -> bytes:
        """Return the output; raises WorkFailedError when the program has failed."""
        self._check_output()
        if self._child.returncode != 0:
            end = readable_end(bytes(self._stderr))
            raise WorkFailedError(f"the program {ending(self._child.returncode)}{': ' if end else ''}{end}")
        return bytes(self._output)

    def told(self) -> dict[str, object]:
        """Return the fields of the log that tell how it went."""
        end = readable_end(bytes(self._stderr))
        told: dict[str, object] = {"output_bytes": len(self._output)}
        return told | {"stderr": end} if end else told

    def _read(self, pipe: int) -> bool:
        """Take what is in a pipe; False at its end, or when there is nothing."""
        try:
            chunk = os.read(pipe, 65536)
        except BlockingIOError:
            return False
        kept = self._pipes[pipe]
        kept += chunk
        if kept is self._stderr:
            del kept[:-STDERR_KEPT]
        self._check_output()
        return chunk != b""

    def _check_output(self) -> None:
        if len(self._output) > self._settings.max_output:
            raise WorkFailedError(
                f"the program wrote more than {self._settings.max_output} bytes, the most that it may"
            )


@contextlib.contextmanager
def _file_of(content: bytes) -> Iterator[int]:
    """Give a file in memory to read from; unlike a pipe it takes no reader and no room to write it."""
    file = os.memfd_create("request")
    try:
        os.write(file, content)
        os.lseek(file, 0, os.SEEK_SET)
        yield file
    finally:
        os.close(file)


def ending(returncode: int) -> str:
    """Say how a program has ended, from its return code as `subprocess` gives it (a signal is below 0)."""
    if returncode == -signal.SIGKILL:
        return "was killed by SIGKILL, perhaps because it took more memory than it may have"
    if returncode < 0:
        with contextlib.suppress(ValueError):
            return f"was ended by {signal.Signals(-returncode).name}"
        return f"was ended by signal {-returncode}"  # a real-time signal has no name
    return f"ended with exit status {returncode}"


def readable_end(stderr: bytes) -> str:
    """Return the end of what a program has written to standard error, as one printable line."""
    text = " ".join(stderr.decode(errors="replace").split())
    return "".join(char if char.isprintable() else "?" for char in text)[-STDERR_SHOWN:]
