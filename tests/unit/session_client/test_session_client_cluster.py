"""What is written down about the cluster."""

from __future__ import annotations

from typing import Any

import pytest

from roles.session_client.module_utils.session_client_cluster import (
    environment,
    event_lines,
    log_files,
    without_managed_fields,
)

Object = dict[str, Any]


def node(name: str, kernel: str) -> Object:
    info = {
        "kernelVersion": kernel,
        "osImage": "Debian GNU/Linux 12 (bookworm)",
        "architecture": "amd64",
        "containerRuntimeVersion": "containerd://1.6.20",
        "kubeletVersion": "v1.35.4",
    }
    return {
        "metadata": {"name": name},
        "status": {"nodeInfo": info, "capacity": {"cpu": "2", "memory": "8Gi"}},
    }


def pod(name: str, *containers: Object) -> Object:
    return {"metadata": {"name": name}, "status": {"containerStatuses": list(containers)}}


def container(name: str = "server", restarts: int = 0, started: bool = True) -> Object:
    return {
        "name": name,
        "restartCount": restarts,
        "image": "docker.io/library/singlethread:0123456789ab",
        "imageID": "sha256:37a2",
    } | ({"containerID": "containerd://1"} if started else {})


def event(time: str, message: str, **fields: Any) -> Object:
    return {
        "metadata": {"creationTimestamp": "2026-01-01T00:00:09Z"},
        "type": "Normal",
        "reason": "Pulled",
        "involvedObject": {"kind": "Pod", "name": "a"},
        "lastTimestamp": time,
        "message": message,
    } | fields


def test_the_environment_names_what_was_measured_on() -> None:
    nodes = [node("lab1", "6.1.0"), node("lab2", "6.8.0"), node("lab3", "6.1.0")]
    found = environment({"gitVersion": "v1.35.4"}, nodes, [pod("a", container()), pod("b", container())])
    assert found["kubernetes"] == "v1.35.4"
    assert found["kernel"] == "6.1.0, 6.8.0"
    assert [described["name"] for described in found["nodes"]] == ["lab1", "lab2", "lab3"]
    assert found["image"] == "docker.io/library/singlethread:0123456789ab"
    assert found["image_id"] == "sha256:37a2"


def test_an_environment_without_pods_has_no_image() -> None:
    found = environment({"gitVersion": "v1.35.4"}, [node("lab1", "6.1.0")], [{"metadata": {"name": "new"}}])
    assert (found["image"], found["image_id"]) == ("", "")


def test_events_are_lines_oldest_first() -> None:
    lines = event_lines(
        [
            event("2026-01-01T00:00:02Z", "second,\n  in two lines"),
            event("2026-01-01T00:00:01Z", "first", type="Warning", reason="Failed", count=3),
        ]
    )
    assert list(lines) == [
        "2026-01-01T00:00:01Z Warning Failed Pod/a: first (x3)",
        "2026-01-01T00:00:02Z Normal Pulled Pod/a: second, in two lines",
    ]


@pytest.mark.parametrize(
    ("fields", "time"),
    [
        ({"lastTimestamp": None, "eventTime": "2026-01-01T00:00:03Z"}, "2026-01-01T00:00:03Z"),
        ({"series": {"lastObservedTime": "2026-01-01T00:00:04Z"}}, "2026-01-01T00:00:04Z"),
        ({"lastTimestamp": None}, "2026-01-01T00:00:09Z"),
    ],
)
def test_an_events_time_is_where_its_reporter_put_it(fields: Object, time: str) -> None:
    assert next(event_lines([event("2026-01-01T00:00:01Z", "x", **fields)])).startswith(time)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (pod("a", container()), [("a.log", "a", "server", False)]),
        (pod("a", container(started=False)), []),
        ({"metadata": {"name": "pending"}, "status": {}}, []),
        (
            pod("a", container(restarts=2)),
            [("a.log", "a", "server", False), ("a.previous.log", "a", "server", True)],
        ),
        (
            pod("a", container("one"), container("two")),
            [("a.one.log", "a", "one", False), ("a.two.log", "a", "two", False)],
        ),
    ],
)
def test_each_container_that_has_run_has_a_log(given: Object, expected: list[Any]) -> None:
    assert list(log_files([given])) == expected


def test_managed_fields_are_left_out() -> None:
    given = {"kind": "Pod", "metadata": {"name": "a", "managedFields": [{"manager": "kubelet"}]}}
    assert without_managed_fields(given) == {"kind": "Pod", "metadata": {"name": "a"}}
    assert "managedFields" in given["metadata"]
