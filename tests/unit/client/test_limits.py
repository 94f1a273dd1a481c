"""Limits of the system, met by the real command."""

from __future__ import annotations

import resource
import socket
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path


def test_too_few_open_files_are_refused_before_anything_is_opened(
    client: Callable[..., subprocess.CompletedProcess[str]], closed_port: str, tmp_path: Path
) -> None:
    done = client(
        *("run", "--address", closed_port, "--results", tmp_path / "r", "--sizes", ",".join("1" * 200)),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100)),
    )
    assert done.returncode == 2
    assert "200 sessions at once need" in done.stderr
    assert "open files, and the limit here is 100: use --concurrency" in done.stderr
    assert not (tmp_path / "r").exists()


def test_the_suggested_concurrency_works(
    client: Callable[..., subprocess.CompletedProcess[str]], real_server: str, tmp_path: Path
) -> None:
    def run(*more: str) -> subprocess.CompletedProcess[str]:
        return client(
            *("run", "--address", real_server, "--results", tmp_path, "--time-scale", "0.001"),
            *("--sizes", ",".join("1" * 25), *more),
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (48, 48)),
        )

    suggestion = run().stderr.partition("--concurrency ")[2].split(",")[0]
    done = run("--concurrency", suggestion)
    assert (done.returncode, done.stderr) == (0, "")


def test_open_files_are_raised_when_they_may(
    client: Callable[..., subprocess.CompletedProcess[str]], serve: Callable[..., str], tmp_path: Path
) -> None:
    everyone = threading.Barrier(120, timeout=30)

    def wait_for_everyone(connection: socket.socket) -> None:
        connection.recv(100)
        everyone.wait()
        connection.sendall(b"pod")

    done = client(
        *("run", "--address", serve(*[wait_for_everyone] * 120), "--results", tmp_path),
        *("--sizes", ",".join("1" * 120)),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (100, 4096)),
    )
    assert (done.returncode, done.stderr) == (0, "")
