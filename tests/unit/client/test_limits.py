"""Limits of the system: found in a tree like the real one, and met by the real command."""

from __future__ import annotations

import resource
import socket
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from session_client.errors import CannotRunError
from session_client.limits import ThreadLimit, require_threads, thread_limits


@pytest.fixture
def system(tmp_path: Path) -> Callable[..., Path]:
    """Return a root folder that holds the given files, by path."""

    def make(**files: str) -> Path:
        for name, content in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        return tmp_path

    return make


def rooms(root: Path) -> dict[str, int]:
    return {limit.name.removeprefix(f"{root}/"): limit.room for limit in thread_limits(root)}


def test_kernel_limits_leave_room_for_what_is_not_running(system: Callable[..., Path]) -> None:
    files = {
        "proc/loadavg": "0.1 0.2 0.3 2/1000 4711\n",
        "proc/sys/kernel/threads-max": "192730\n",
        "proc/sys/kernel/pid_max": "32768\n",
        "proc/sys/vm/max_map_count": "65530\n",
    }
    found = rooms(system(**files))
    assert found["kernel.threads-max"] == 191730
    assert found["kernel.pid_max"] == 31768
    assert found["vm.max_map_count"] == 32765


@pytest.mark.parametrize(
    ("cgroup", "folder"),
    [
        ("0::/a/b\n", "sys/fs/cgroup"),
        ("9:memory:/elsewhere\n8:pids:/a/b\n", "sys/fs/cgroup/pids"),
    ],
)
def test_the_control_group_and_all_above_count(system: Callable[..., Path], cgroup: str, folder: str) -> None:
    files = {
        "proc/self/cgroup": cgroup,
        f"{folder}/a/b/pids.max": "max\n",
        f"{folder}/a/b/pids.current": "3\n",
        f"{folder}/a/pids.max": "100\n",
        f"{folder}/a/pids.current": "40\n",
        f"{folder}/pids.max": "500\n",
        f"{folder}/pids.current": "50\n",
    }
    found = rooms(system(**files))
    assert {name: room for name, room in found.items() if name.startswith("sys")} == {
        f"{folder}/a/pids.max": 60,
        f"{folder}/pids.max": 450,
    }


def test_what_the_system_does_not_show_is_no_limit(tmp_path: Path) -> None:
    assert not [name for name in rooms(tmp_path) if name != "the user's limit of processes"]


def test_this_machine_shows_its_limits() -> None:
    found = {limit.name: limit.room for limit in thread_limits()}
    assert found["kernel.threads-max"] > 0


def test_the_tightest_limit_of_threads_is_named_with_the_remedy() -> None:
    limits = [ThreadLimit(5000, "kernel.pid_max", "sysctl"), ThreadLimit(600, "pids.max", "TasksMax=")]
    require_threads(568, limits)
    with pytest.raises(CannotRunError) as error:
        require_threads(569, limits)
    assert str(error.value) == (
        "569 sessions at once need a thread each, and pids.max leaves room for 600: use --concurrency 568, "
        "or raise the limit (TasksMax=)"
    )


def test_without_a_limit_any_number_of_threads_will_do() -> None:
    require_threads(10**9, [])


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
