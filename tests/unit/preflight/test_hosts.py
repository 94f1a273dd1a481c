"""What keeps a host from being used: each problem found, named and given a remedy."""

from __future__ import annotations

from typing import Any

import pytest

from roles.preflight.filter_plugins.preflight_hosts import host_problems, host_warnings

NEEDS: dict[str, Any] = {
    "distributions": {"Debian": ["12"], "Ubuntu": ["22.04", "24.04"]},
    "architectures": ["x86_64", "aarch64"],
    "memory_required_mb": 2000,
    "memory_recommended_mb": 4000,
    "cores_required": 1,
    "cores_recommended": 2,
    "disk_folder": "/var",
    "disk_required_mb": 8000,
    "clock_skew_seconds": 10.0,
    "snap": "microk8s",
    "cgroup_v2": True,
}
GOOD: dict[str, Any] = {
    "name": "lab1",
    "root": True,
    "root_error": "",
    "user": "lab",
    "transfer": "",
    "ssh": "ssh lab@198.51.100.11 true",
    "distribution": "Debian",
    "version": "12.9",
    "architecture": "x86_64",
    "service_manager": "systemd",
    "other_hosts": {"lab1": "lab1", "lab2": "lab2"},
    "clock_before": 1000.0,
    "clock_after": 1001.0,
    "epoch": 1000.5,
    "hostname": "lab1",
    "addresses": ["198.51.100.11"],
    "join_through": "",
    "resolved": [],
    "cores": 4,
    "memory_mb": 8000,
    "disk_free_mb": 20000,
    "cgroup_v2": True,
    "ports": [],
    "docker": {"installed": False, "answers": False, "active": "inactive", "enabled": "not-found"},
    "snapd": {
        "installed": True,
        "answers": True,
        "has_snap": False,
        "store": True,
        "active": "active",
        "enabled": "enabled",
    },
}
STRANGER = {"pid": "77", "name": "nginx", "program": "/usr/sbin/nginx", "unit": "nginx.service"}
KUBELITE = {
    "pid": "9",
    "name": "kubelite",
    "program": "/snap/microk8s/x1/kubelite",
    "unit": "snap.microk8s.daemon-kubelite.service",
}
GONE = {"pid": "9", "name": "cluster-agent", "program": "/snap/microk8s/x1/agent (deleted)", "unit": ""}


def docker(active: str, enabled: str, *, answers: bool = False) -> dict[str, Any]:
    return {"installed": True, "answers": answers, "active": active, "enabled": enabled}


def snapd(**changes: Any) -> dict[str, Any]:
    return {**GOOD["snapd"], **changes}


def test_a_good_host_has_no_problem() -> None:
    assert host_problems(GOOD, NEEDS) == []
    assert host_warnings(GOOD, NEEDS) == []


@pytest.mark.parametrize(
    ("seen", "problem", "remedy"),
    [
        (
            {"root": False, "root_error": "Missing sudo password"},
            "Missing sudo password",
            "--ask-become-pass",
        ),
        (
            {"transfer": "/etc/os-release begins with 'Welcome'"},
            "begins with 'Welcome'",
            "ssh lab@198.51.100.11 true shows what",
        ),
        (
            {"distribution": "Fedora", "version": "43"},
            "Fedora 43 is not supported",
            "preflight_distributions",
        ),
        ({"version": "11.2"}, "Debian 11.2 is not supported", "preflight_distributions"),
        ({"architecture": "riscv64"}, "riscv64", "another host"),
        ({"service_manager": "openrc"}, "openrc", "boots with systemd"),
        ({"cgroup_v2": False}, "control groups version 1", "preflight_cgroup_v2"),
        ({"memory_mb": 1024}, "1024 MiB of memory", "preflight_memory_required_mb"),
        ({"cores": 0}, "0 cores", "preflight_cores_required"),
        ({"disk_free_mb": 5}, "5 MiB are free in /var", "preflight_disk_required_mb"),
        (
            {"disk_free_mb": 900, "snapd": snapd(has_snap=True)},
            "900 MiB are free in /var, 1000 are needed",
            "preflight_disk_required_mb",
        ),
        ({"hostname": "Lab_1"}, "'Lab_1' is no valid name", "hostnamectl set-hostname lab-1"),
        ({"hostname": "lab2"}, "also that of lab2", "hostnamectl set-hostname lab1"),
        (
            {"join_through": "lab7", "resolved": ["192.0.2.9"]},
            "lab7, whose cluster this host is to join, resolves its name 'lab1' to 192.0.2.9",
            "/etc/hosts on lab7: 198.51.100.11 lab1",
        ),
        ({"join_through": "lab7"}, "resolves its name 'lab1' to nothing", "/etc/hosts on lab7"),
        ({"epoch": 1061.0}, "60 s ahead of", "timedatectl"),
        ({"epoch": 900.0}, "100 s behind", "timedatectl"),
        ({"ports": [{"port": 16443, "owners": [STRANGER]}]}, "16443 is held by nginx", "systemctl status 77"),
        ({"ports": [{"port": 25000, "owners": []}]}, "Port 25000 is in use", "Free it"),
        ({"docker": docker("inactive", "enabled")}, "does not answer", "systemctl start docker"),
        ({"docker": docker("failed", "disabled")}, "docker.service is failed", "journalctl -u docker"),
        ({"snapd": snapd(answers=False, enabled="masked", active="inactive")}, "masked", "systemctl unmask"),
        ({"snapd": snapd(answers=False)}, "snapd does not answer", "journalctl -u snapd"),
        ({"snapd": snapd(store=False)}, "cannot reach the snap store", "microk8s_source: files"),
    ],
)
def test_each_problem_is_named_with_its_remedy(seen: dict[str, Any], problem: str, remedy: str) -> None:
    problems = host_problems({**GOOD, **seen}, NEEDS)
    assert len(problems) == 1
    assert problem in problems[0]
    assert remedy in problems[0]


@pytest.mark.parametrize(
    "seen",
    [
        {"distribution": "Ubuntu", "version": "24.04"},
        {"hostname": "node-1.lab.example", "other_hosts": {}},
        {"epoch": 1010.9},
        {"join_through": "lab7", "resolved": ["2001:db8::1", "198.51.100.11"]},
        {"ports": [{"port": 16443, "owners": [KUBELITE]}]},
        {"ports": [{"port": 25000, "owners": [GONE]}]},
        {"docker": docker("active", "enabled", answers=True)},
        {"docker": docker("inactive", "disabled")},
        {"snapd": snapd(installed=False, answers=False, store=None, active="inactive", enabled="not-found")},
        {"snapd": snapd(answers=False, active="inactive", store=None)},
        {"snapd": snapd(store=None)},
        {"snapd": snapd(has_snap=True), "disk_free_mb": 1000},
    ],
    ids=[
        "another supported distribution",
        "a long host name",
        "a little skew",
        "a name that leads here",
        "a port held by MicroK8s",
        "a port held by a MicroK8s that is being removed",
        "a running Docker",
        "a Docker whose installation was interrupted",
        "no snapd yet",
        "a snapd that is only stopped",
        "a store that was not asked",
        "a disk that holds MicroK8s already",
    ],
)
def test_what_a_later_step_mends_or_expects_is_no_problem(seen: dict[str, Any]) -> None:
    assert host_problems({**GOOD, **seen}, NEEDS) == []


def test_ports_are_not_judged_without_root() -> None:
    seen = {**GOOD, "root": False, "ports": [{"port": 16443, "owners": []}]}
    assert len(host_problems(seen, NEEDS)) == 1


def test_all_problems_come_at_once() -> None:
    seen = {**GOOD, "root": False, "version": "9", "cores": 0, "disk_free_mb": 0, "hostname": "A"}
    assert len(host_problems(seen, NEEDS)) == 5


@pytest.mark.parametrize(
    ("seen", "warnings"),
    [({"memory_mb": 3000}, 1), ({"memory_mb": 3000, "cores": 1}, 2), ({"memory_mb": 4000}, 0)],
)
def test_what_is_less_than_recommended_is_a_warning(seen: dict[str, Any], warnings: int) -> None:
    assert host_problems({**GOOD, **seen}, NEEDS) == []
    assert len(host_warnings({**GOOD, **seen}, NEEDS)) == warnings


def test_what_is_a_problem_is_not_a_warning_too() -> None:
    assert host_warnings({**GOOD, "memory_mb": 1000}, NEEDS) == []
