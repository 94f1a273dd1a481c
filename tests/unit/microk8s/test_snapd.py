"""What snapd prints, read."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from roles.microk8s.filter_plugins import microk8s

LIST = """\
Name      Version       Rev   Tracking       Publisher    Notes
core22    20260101      1234  latest/stable  canonical**  base
microk8s  v1.35.4       x2    -              -            classic,held
lxd       5.21          10    5.21/stable    canonical**  -
"""
NOW = datetime(2026, 11, 24, 12, 0, tzinfo=timezone.utc)


def test_each_snap_has_its_revision_and_notes() -> None:
    assert microk8s.snaps(LIST) == {
        "core22": {"version": "20260101", "revision": "1234", "tracking": "latest/stable", "notes": ["base"]},
        "microk8s": {"version": "v1.35.4", "revision": "x2", "tracking": "-", "notes": ["classic", "held"]},
        "lxd": {"version": "5.21", "revision": "10", "tracking": "5.21/stable", "notes": []},
    }


@pytest.mark.parametrize("text", ["", "No snaps are installed yet. Try 'snap install hello-world'.\n"])
def test_a_host_without_snaps_has_none(text: str) -> None:
    assert microk8s.snaps(text) == {}


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("snap    2.57.6-1+deb12u1\nsnapd   2.57.6-1+deb12u1\nseries  16\n", "2.57.6"),
        ("snap    2.66.1\nsnapd   2.66.1\nseries  16\nubuntu  24.04\n", "2.66.1"),
        ("snap 2.60\nsnapd unavailable\n", "0"),
    ],
)
def test_the_version_of_snapd(text: str, version: str) -> None:
    assert microk8s.snapd_version(text) == version


def test_only_changes_in_progress_are_busy() -> None:
    changes = """\
ID   Status  Spawn               Ready               Summary
1    Done    today at 22:49 UTC  today at 22:49 UTC  Initialize system state
2    Error   today at 22:51 UTC  today at 22:51 UTC  Initialize device
3    Wait    today at 22:51 UTC  -                   Refresh "kernel" snap
4    Doing   today at 22:57 UTC  -                   Install "microk8s" snap from file "microk8s.snap"
5    Undoing today at 22:57 UTC  -                   Remove "core22" snap
"""
    assert [line.split()[0] for line in microk8s.snapd_busy(changes)] == ["4", "5"]


@pytest.mark.parametrize("text", ["", "no changes found\n"])
def test_a_snapd_without_changes_is_not_busy(text: str) -> None:
    assert microk8s.snapd_busy(text) == []


@pytest.mark.parametrize(
    ("result", "again"),
    [
        ({"rc": 10, "stderr": ""}, True),
        ({"rc": 1, "stderr": 'error: snap "microk8s" has "install-snap" change in progress'}, True),
        ({"failed": True, "msg": 'snap "microk8s" has "refresh-snap" change in progress'}, True),
        ({"rc": 1, "stderr": 'error: snap "microk8s" has running apps (microk8s), pids: 4711'}, True),
        ({"rc": 1, "stderr": 'error: cannot find signatures with metadata for snap "microk8s.snap"'}, False),
        ({"rc": 0, "stderr": ""}, False),
        ({"skipped": True}, False),
    ],
)
def test_only_a_busy_snapd_is_asked_again(result: dict[str, Any], again: bool) -> None:
    assert microk8s.snap_refused(result) is again


def test_who_runs_commands_of_the_snap_is_named() -> None:
    in_scope = "9:name=systemd:/system.slice/snap.microk8s.microk8s.276cb168-2cc9.scope,8:pids:/"
    of_user = "0::/user.slice/user-1000.slice/user@1000.service/app.slice/snap.microk8s.microk8s.3d50.scope"
    processes = f"""\
   4141 root     {in_scope}   /snap/microk8s/x1/bin/kubectl get pods -A -w
   4150 alice    {of_user} /snap/microk8s/x1/bin/kubectl logs -f x
   4160 root     0::/system.slice/snap.microk8s.daemon-kubelite.service /snap/microk8s/x1/kubelite
   4170 root     -    grep /snap.microk8s.scope
"""
    assert microk8s.commands(processes) == [
        "4141 of root: /snap/microk8s/x1/bin/kubectl get pods -A -w",
        "4150 of alice: /snap/microk8s/x1/bin/kubectl logs -f x",
    ]


def test_snapshots_of_the_snap_are_found() -> None:
    saved = """\
Set  Snap      Age    Version  Rev  Size   Notes
1    microk8s  2.1h   v1.35.4  x1   2.9MB  auto
2    lxd       3.0d   5.21     10   1.0MB  -
3    microk8s  1m     v1.35.4  x1   2.9MB  auto
"""
    assert microk8s.snapshots(saved, "microk8s") == ["1", "3"]


@pytest.mark.parametrize("held_for", [None, timedelta(days=-1), timedelta(days=29)])
def test_refreshes_are_held_anew_when_the_date_is_near(held_for: timedelta | None) -> None:
    current = "" if held_for is None else (NOW + held_for).strftime("%Y-%m-%dT%H:%M:%SZ\n")
    assert microk8s.hold_until(current, NOW) == "2027-02-22T12:00:00Z"


@pytest.mark.parametrize(
    "current", ["2027-01-24T12:00:00Z\n", "2027-02-22T13:00:00.123456789+01:00", "forever"]
)
def test_a_hold_that_lasts_is_left_alone(current: str) -> None:
    assert microk8s.hold_until(current, NOW) == ""


def test_what_was_written_is_not_written_again() -> None:
    assert microk8s.hold_until(microk8s.hold_until("", NOW), NOW + timedelta(days=59)) == ""
