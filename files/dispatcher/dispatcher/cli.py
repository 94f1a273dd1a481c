"""The command line: reads it, opens what has to be open, and runs the dispatcher."""

from __future__ import annotations

import argparse
import gc
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from . import __version__
from .dispatcher import SPARE_DESCRIPTORS, Dispatcher
from .kubernetes_api import find_api
from .kubernetes_watch import Follower, KubernetesSlices
from .log import Log
from .members import Endpoint, fixed_list, format_address, parse_address
from .reactor import Reactor
from .settings import EmptyReply, Mode, OrderName, Settings

EXIT_CANNOT_RUN = 2
STATUS_BACKLOG = 128
"""Connections to the status port that the kernel holds until they are accepted."""
DEFAULTS = Settings()
MOST_DESCRIPTORS = 1 << 20
"""What Linux allows a process unless fs.nr_open was raised."""


@dataclass(frozen=True)
class Arguments:
    """A command line that makes sense."""

    listen: tuple[str, int]
    status: tuple[str, int] | None
    pods: tuple[Endpoint, ...] | None
    service: tuple[str, str] | None
    port_name: str | None
    kubeconfig: Path | None
    settings: Settings


def parse_arguments(arguments: Sequence[str] | None = None) -> Arguments:
    """Read the command line; exits with code 2 and a sentence when it is wrong."""
    parser = argparse.ArgumentParser(
        prog="dispatcher",
        description="Keep TCP sessions in one queue and give each to a pod that is free, one at a time.",
        allow_abbrev=False,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=__version__)
    parser.add_argument(
        "--listen", type=_address, required=True, metavar="HOST:PORT", help="where clients connect"
    )
    parser.add_argument(
        "--status", type=_address, metavar="HOST:PORT", help="where /status and /metrics are served"
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--pods", type=_pods, metavar="HOST:PORT,...", help="a fixed list of pods")
    source.add_argument(
        "--service", type=_service, metavar="NAMESPACE/NAME", help="follow a Kubernetes service's pods"
    )
    parser.add_argument("--port-name", metavar="NAME", help="the service's port, when it has several")
    parser.add_argument(
        "--kubeconfig",
        type=Path,
        metavar="FILE",
        help="way into the API outside a cluster; else the service account",
    )
    parser.add_argument("--order", choices=[*OrderName], default=DEFAULTS.order,
                        help="longest first goes by the number a request begins with")  # fmt: skip
    parser.add_argument("--fair", action="store_true", help="client addresses take turns, one session each")
    parser.add_argument("--mode", choices=[*Mode], default=DEFAULTS.mode,
                        help="request: clients speak first, pods reply; stream: both talk")  # fmt: skip

    def number(name: str, kind: Callable[[str], object], text: str) -> None:
        default = getattr(DEFAULTS, name)
        metavar = "SECONDS" if isinstance(default, float) else "N"
        parser.add_argument(
            "--" + name.replace("_", "-"), type=kind, default=default, metavar=metavar, help=text
        )

    number("gather", _duration, "longest_first: collect arrivals this long when all pods were idle")
    number("age_limit", _duration, "longest_first: after this wait a session goes before larger ones")
    number("attempts", _count, "pods that may fail with a session before its client gets an error")
    parser.add_argument("--empty-reply", choices=[*EmptyReply], default=DEFAULTS.empty_reply,
                        help="whether a pod that closes without a reply has done its work")  # fmt: skip
    number("silence_limit", _duration, "close clients that send nothing for this long; 0 for never")
    number("half_close_window", _duration, "a waiting client whose stream ends later after its last byte "
           "has left; earlier, it waits for the reply")  # fmt: skip
    number("settle", _duration, "the silence that ends a request without a newline")
    parser.add_argument("--half-close", action=argparse.BooleanOptionalAction, default=DEFAULTS.half_close,
                        help="end the stream to the pod behind a complete request")  # fmt: skip
    number("connect_timeout", _positive, "how long a pod may take to take a connection")
    number("session_limit", _duration, "longest time in a pod; 0 for none")
    number("max_waiting", _count, "sessions that may wait; more are told so")
    number("no_pods_limit", _duration, "how long sessions wait while there is no pod; 0 for ever")
    number(
        "request_buffer", _count, "bytes of a request that are read while it waits and kept to send it again"
    )
    number("reply_buffer", _count, "bytes of a reply that are taken from a pod before the client reads them")
    number("reply_total", _count, "bytes of all replies together that are taken before clients read them")
    number(
        "stall_limit", _duration, "reset clients that read nothing of their reply for this long; 0 for never"
    )
    number("grace", _duration, "how long sessions in pods may go on after SIGTERM")
    parser.add_argument("--no-probe", dest="probe", action="store_false",
                        help="take a new pod for idle without an empty connection to find out")  # fmt: skip
    values = vars(parser.parse_args(arguments))
    values["order"], values["mode"] = OrderName(values["order"]), Mode(values["mode"])
    values["empty_reply"] = EmptyReply(values["empty_reply"])
    if values["kubeconfig"] and not values["service"]:
        parser.error("--kubeconfig goes with --service")
    if values["port_name"] and not values["service"]:
        parser.error("--port-name goes with --service")
    if values["mode"] is Mode.STREAM and values["order"] is OrderName.LONGEST_FIRST:
        parser.error("--order longest_first needs requests to read; --mode stream has none")
    names = ("listen", "status", "pods", "service", "port_name", "kubeconfig")
    settings = Settings(**{name: value for name, value in values.items() if name not in names})
    return Arguments(settings=settings, **{name: values[name] for name in names})


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the dispatcher; return 0 after SIGTERM or SIGINT, 2 when it cannot run."""
    parsed = parse_arguments(arguments)
    try:
        _run(parsed)
    except (OSError, RuntimeError) as error:
        print(f"dispatcher: {error}", file=sys.stderr)
        return EXIT_CANNOT_RUN
    return 0


def _run(arguments: Arguments) -> None:
    settings = arguments.settings
    log = Log()
    reactor = Reactor()
    limit = raise_descriptor_limit()
    listener = _listen("--listen", arguments.listen, settings.backlog)
    dispatcher = Dispatcher(settings, listener, log, reactor)
    if arguments.status:
        dispatcher.serve_status(_listen("--status", arguments.status, STATUS_BACKLOG))
    host, port = listener.getsockname()[:2]
    log.write("started", host=host, port=port, pid=os.getpid(), version=__version__, descriptors=limit)
    if limit < settings.max_waiting + SPARE_DESCRIPTORS:
        log.write(
            "few_descriptors",
            reason=f"{limit} file descriptors are fewer than --max-waiting {settings.max_waiting} needs; "
            "further clients will wait in the kernel; raise the limit (ulimit -Hn)",
        )
    if arguments.pods is not None:
        dispatcher.set_members(arguments.pods)
    elif arguments.service is not None:
        Follower(
            KubernetesSlices(find_api(arguments.kubeconfig), *arguments.service),
            arguments.port_name,
            lambda endpoints: reactor.post(lambda: dispatcher.set_members(endpoints)),
            lambda event, reason: reactor.post(lambda: log.write(event, reason=reason)),
        ).start()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: dispatcher.stop())
    # What exists now stays to the end: the collector need not look at it again.
    gc.collect()
    gc.freeze()
    dispatcher.run()


def raise_descriptor_limit() -> int:
    """Raise the soft limit of open files as far as the hard one and the need go, and return it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MOST_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft >= limit:
        return soft
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    return limit


def _listen(option: str, address: tuple[str, int], backlog: int) -> socket.socket:
    host = address[0]
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server(address, family=family, backlog=backlog, dualstack_ipv6=host == "::")
    except OSError as error:
        raise _no_address(option, address, error) from None
    listener.setblocking(False)
    return listener


def _no_address(option: str, address: tuple[str, int], error: OSError) -> RuntimeError:
    reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
    return RuntimeError(
        f"cannot listen on {format_address(*address)}: {reason}; "
        f"stop the program that has it, or choose another address with {option}"
    )


def _address(text: str) -> tuple[str, int]:
    try:
        return parse_address(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _pods(text: str) -> tuple[Endpoint, ...]:
    try:
        return fixed_list(part.strip() for part in text.split(",") if part.strip())
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _service(text: str) -> tuple[str, str]:
    namespace, slash, name = text.partition("/")
    if not slash or not namespace or not name or "/" in name:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAMESPACE/NAME")
    return namespace, name


def _duration(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1e9:  # false for nan too
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds from 0 to 1e9")
    return value


def _positive(text: str) -> float:
    value = _duration(text)
    if not value:
        raise argparse.ArgumentTypeError(f"{text!r} must be above 0")
    return value


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not 1 or more")
    return value
