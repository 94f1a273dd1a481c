#!/usr/bin/env python3
"""Compare the dispatcher with HAProxy and with nothing in between: zero-length sessions on loopback.

Workers and client are small C programs, so that neither is the limit. The dispatcher has the arguments and
HAProxy the configuration that are deployed, with fixed servers: both give a client a pod when its first byte
has come. `haproxy eager` is the same HAProxy without that rule: any silent client takes a pod from it.
Rounds are interleaved: what else the machine does meets all alike. Needs a C compiler and haproxy (Debian:
gcc, libc6-dev, haproxy).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.bench.rounds import Round, build, image_python, median_rate, parse_round, table
from tests.render.rendering import ROOT, at, render

DISPATCHER = ROOT / "files" / "dispatcher"
WORKERS = 5
PROXIES = ("haproxy", "haproxy eager")
WAITING_RULE = r"^ *tcp-request inspect-delay .*\n *tcp-request content reject unless { req\.len gt 0 }$"
EXIT_CANNOT_RUN = 2
EXIT_TOO_SLOW = 3


def haproxy_configuration(workers: list[int], port: int, status: int, *, eager: bool) -> str:
    """Return what templates/haproxy-config.yml.j2 deploys, with fixed servers in place of the pods.

    eager: without the rule that waits for a client's first byte.
    """
    manifest = render("haproxy-config.yml.j2", session_haproxy_port=port, session_haproxy_status_port=status)
    servers = "\n".join(f"  server w{worker} 127.0.0.1:{worker}" for worker in workers)
    text = _replaced(r"^ *server-template .*$", servers, manifest["data"]["haproxy.cfg"])
    without = _replaced(WAITING_RULE, "", text)
    return without if eager else text


def _replaced(pattern: str, text: str, configuration: str) -> str:
    fixed, places = re.subn(pattern, text, configuration, flags=re.MULTILINE)
    if places != 1:
        raise RuntimeError(f"templates/haproxy-config.yml.j2 has no {pattern} any more")
    return fixed


def queue_arguments(port: int, status: int, workers: list[int]) -> list[str]:
    """Return the arguments of templates/queue-deployment.yml.j2, with fixed pods in place of the service."""
    manifest = render("queue-deployment.yml.j2", session_queue_port=port, session_queue_status_port=status)
    arguments: list[str] = at(manifest, "spec.template.spec.containers.0.args")
    service = arguments.index("--service")
    pods = ",".join(f"127.0.0.1:{worker}" for worker in workers)
    return ["-m", "dispatcher", *arguments[:service], "--pods", pods, *arguments[service + 2 :]]


def free_ports(count: int) -> list[int]:
    """Return ports that nobody has, all different."""
    with contextlib.ExitStack() as stack:
        listeners = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [listener.getsockname()[1] for listener in listeners]


@contextlib.contextmanager
def running(
    arguments: list[str], output: Path, port: int, environment: dict[str, str] | None = None
) -> Iterator[int]:
    """Run a program, wait until it listens, yield its process id, and end it."""
    with output.open("wb") as log:
        process = subprocess.Popen(
            arguments, stdout=log, stderr=subprocess.STDOUT, cwd=DISPATCHER, env=environment
        )
    try:
        deadline = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"{arguments[0]} does not listen: {output.read_text()}") from None
                time.sleep(0.05)
        yield process.pid
    finally:
        process.terminate()
        process.wait()


def measure(client: Path, port: int, threads: int, seconds: float) -> Round:
    """Run the client once."""
    command = [str(client), str(threads), str(seconds), f"127.0.0.1:{port}"]
    return parse_round(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def cpu_seconds(pid: int) -> float:
    """Return the processor time a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> int:
    """Run the benchmark; return 3 when the queue is below --bar."""
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each (%(default)s)")
    parser.add_argument("--seconds", type=float, default=3, help="length of a round (%(default)s)")
    parser.add_argument("--threads", type=int, default=16, help="clients at once (%(default)s)")
    parser.add_argument(
        "--bar", type=float, default=0.8, help="lowest ratio to HAProxy's sessions a second (%(default)s)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there, too")
    options = parser.parse_args()
    for program, package in (("cc", "gcc"), ("haproxy", "haproxy")):
        if shutil.which(program) is None:
            print(f"loopback.py: {program} is missing: apt-get install {package}", file=sys.stderr)
            return EXIT_CANNOT_RUN
    with tempfile.TemporaryDirectory() as name:
        rounds, idle, cost = run(Path(name), options)
    print(
        f"On loopback, {WORKERS} small workers, {options.threads} clients, rounds of {options.seconds:g} s:"
    )
    print("\n".join(table(rounds, idle, cost)))
    ratios = {name: median_rate(rounds["queue"]) / median_rate(rounds[name]) for name in PROXIES}
    for name, ratio in ratios.items():
        by_cost = cost[name] / cost["queue"]
        print(f"queue / {name}: {ratio:.2f} by sessions a second, {by_cost:.2f} by processor time")
    if options.json:
        figures = {
            "ratio": ratios["haproxy"],
            "loaded": {name: [asdict(each) for each in found] for name, found in rounds.items()},
            "idle": {name: [asdict(each) for each in found] for name, found in idle.items()},
            "cpu_microseconds_a_session": cost,
        }
        options.json.write_text(json.dumps(figures, indent=2) + "\n")
    return 0 if ratios["haproxy"] >= options.bar else EXIT_TOO_SLOW


Results = dict[str, list[Round]]


@contextlib.contextmanager
def everything(folder: Path) -> Iterator[tuple[dict[str, int], dict[str, int]]]:
    """Run workers, HAProxy and the dispatcher; yield ports to measure, and processes whose cost counts."""
    *workers, haproxy, haproxy_status, eager, eager_status, queue, queue_status = free_ports(WORKERS + 6)
    worker = str(build("worker", folder))

    def configured(name: str, port: int, status: int, *, eager: bool) -> list[str]:
        path = folder / f"{name}.cfg"
        path.write_text(haproxy_configuration(workers, port, status, eager=eager))
        return ["haproxy", "-db", "-f", str(path)]

    with contextlib.ExitStack() as stack:

        def start(name: str, port: int, command: list[str], environment: dict[str, str] | None = None) -> int:
            return stack.enter_context(running(command, folder / f"{name}.log", port, environment))

        python, lent = image_python()

        for port in workers:
            start(f"worker-{port}", port, [worker, str(port), "128"])
        processes = {
            "haproxy": start("haproxy", haproxy, configured("haproxy", haproxy, haproxy_status, eager=False)),
            "haproxy eager": start("eager", eager, configured("eager", eager, eager_status, eager=True)),
            "queue": start("queue", queue, [python, *queue_arguments(queue, queue_status, workers)], lent),
        }
        time.sleep(1)  # HAProxy's first health checks
        targets = {"direct": workers[0], "haproxy": haproxy, "haproxy eager": eager, "queue": queue}
        yield targets, processes


def run(folder: Path, options: argparse.Namespace) -> tuple[Results, Results, dict[str, float]]:
    """Return the loaded rounds, the idle ones, and the processor time of a session in microseconds."""
    client = build("client", folder)
    with everything(folder) as (targets, processes):
        rounds: Results = {name: [] for name in targets}
        idle: Results = {name: [] for name in targets}
        used = dict.fromkeys(processes, 0.0)
        for port in targets.values():
            measure(client, port, options.threads, 0.5)
        for _ in range(options.rounds):
            for name, port in targets.items():
                before = {each: cpu_seconds(pid) for each, pid in processes.items() if each == name}
                rounds[name].append(measure(client, port, options.threads, options.seconds))
                for each, seconds in before.items():
                    used[each] += cpu_seconds(processes[each]) - seconds
            for name, port in targets.items():
                idle[name].append(measure(client, port, 1, 0.5))
        done = {name: sum(each.rate for each in rounds[name]) * options.seconds for name in used}
        return rounds, idle, {name: used[name] / done[name] * 1e6 for name in used}


if __name__ == "__main__":
    sys.exit(main())
