"""HAProxy's manifests: their structure, and a configuration that HAProxy itself understands."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.lab.plain_client import wait_until_open
from tests.render.rendering import TEMPLATES, at, render

HAPROXY = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")
HAPROXY_TEMPLATES = [name for name in TEMPLATES if name.startswith("haproxy-")]
POD = "spec.template.spec"
CONTAINER = f"{POD}.containers.0"
PODS = "_session._tcp.session-haproxy-pods.sessions"
RESOLVED = "resolvers cluster init-addr none"

with_haproxy = pytest.mark.skipif(
    HAPROXY is None, reason="no HAProxy on this machine: apt-get install haproxy"
)


def rendered(template: str, **settings: Any) -> dict[str, Any]:
    return render(template, **{f"session_haproxy_{name}": value for name, value in settings.items()})


def deployment(**settings: Any) -> dict[str, Any]:
    return rendered("haproxy-deployment.yml.j2", **settings)


def configuration(**settings: Any) -> str:
    """HAProxy's configuration, without its comments."""
    text = str(rendered("haproxy-config.yml.j2", **settings)["data"]["haproxy.cfg"])
    return re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE)


@pytest.mark.parametrize("template", HAPROXY_TEMPLATES)
def test_everything_bears_the_name_by_which_it_is_removed(template: str) -> None:
    manifest = rendered(template, name="waiting-room", namespace="lab")
    assert at(manifest, "metadata.labels")["app.kubernetes.io/name"] == "waiting-room"
    assert at(manifest, "metadata.namespace") == "lab"


@pytest.mark.parametrize(
    ("variable", "value", "line"),
    [
        ("port", "6001", "bind :6001"),
        ("status_port", 6002, "bind :6002"),
        ("max_sessions", "500", "maxconn 500"),
        ("max_pods", "7", f"server-template pod 7 {PODS}.svc.cluster.local {RESOLVED}"),
        ("cluster_domain", "lab.example", f"server-template pod 100 {PODS}.svc.lab.example {RESOLVED}"),
    ],
)
def test_a_variable_shows_in_the_configuration(variable: str, value: Any, line: str) -> None:
    assert line in map(str.strip, configuration(**{variable: value}).splitlines())


def test_it_asks_for_the_pods_by_the_headless_services_name() -> None:
    service = rendered("haproxy-pods-service.yml.j2", name="front", namespace="lab", pods="primes")
    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["selector"] == {"app.kubernetes.io/name": "primes"}
    (port,) = service["spec"]["ports"]
    assert port["targetPort"] in [
        each["name"] for each in at(render("deployment.yml.j2"), f"{CONTAINER}.ports")
    ]
    name = f"_{port['name']}._tcp.{service['metadata']['name']}.lab.svc.cluster.local"
    assert name in configuration(name="front", namespace="lab").split()


def test_nobody_waits_in_a_queue_of_a_busy_pod() -> None:
    lines = configuration()
    assert re.search(r"default-server .*\bmaxconn 1\b", lines)
    assert "maxqueue" not in lines


def test_a_change_of_configuration_makes_a_new_pod() -> None:
    def annotations(**settings: Any) -> Any:
        return at(deployment(**settings), "spec.template.metadata.annotations")

    assert annotations() == annotations(order="fifo")
    assert annotations() != annotations(order="longest_first")


def test_it_reads_the_configuration_that_is_mounted() -> None:
    container = at(deployment(), CONTAINER)
    (mount,) = container["volumeMounts"]
    (volume,) = at(deployment(), f"{POD}.volumes")
    assert mount["name"] == volume["name"]
    config = render("haproxy-config.yml.j2")
    assert volume["configMap"]["name"] == config["metadata"]["name"]
    assert container["args"][-2:] == ["-f", f"{mount['mountPath']}/{next(iter(config['data']))}"]


def test_there_are_never_two_queues() -> None:
    spec = deployment()["spec"]
    assert spec["replicas"] == 1
    assert spec["strategy"] == {"type": "Recreate"}


def test_its_pod_has_no_privileges() -> None:
    pod = at(deployment(), POD)
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert pod["containers"][0]["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_probes_look_at_the_status_port_and_open_no_session() -> None:
    container = at(deployment(), CONTAINER)
    assert {container[name]["httpGet"]["port"] for name in ("startupProbe", "readinessProbe")} == {"status"}


def test_the_service_selects_its_pod_and_the_session_port() -> None:
    spec, pod = render("haproxy-service.yml.j2")["spec"], at(deployment(), "spec.template")
    assert spec["type"] == "NodePort"
    assert spec["selector"].items() <= pod["metadata"]["labels"].items()
    assert [port["targetPort"] for port in spec["ports"]] == ["session"]
    assert "nodePort" not in at(spec, "ports.0")
    assert at(rendered("haproxy-service.yml.j2", node_port="31002"), "spec.ports.0.nodePort") == 31002


@pytest.mark.parametrize(
    ("variable", "value", "path", "expected"),
    [
        ("image", "registry.example/x:y", f"{CONTAINER}.image", "registry.example/x:y"),
        ("port", "6001", f"{CONTAINER}.ports.0.containerPort", 6001),
        ("status_port", "6002", f"{CONTAINER}.ports.1.containerPort", 6002),
        ("grace_seconds", "60", f"{POD}.terminationGracePeriodSeconds", 60),
        ("cpu_request", "1", f"{CONTAINER}.resources.requests.cpu", "1"),
        ("memory_request", "1Gi", f"{CONTAINER}.resources.requests.memory", "1Gi"),
        ("memory_limit", "2Gi", f"{CONTAINER}.resources.limits.memory", "2Gi"),
    ],
)
def test_a_variable_shows_in_its_place(variable: str, value: Any, path: str, expected: Any) -> None:
    assert at(deployment(**{variable: value}), path) == expected


@with_haproxy
@pytest.mark.parametrize("settings", [{}, {"order": "longest_first"}, {"port": 6001, "max_pods": 1}])
def test_haproxy_finds_nothing_to_say_against_it(settings: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "haproxy.cfg"
    path.write_text(configuration(**settings))
    assert HAPROXY
    done = subprocess.run([HAPROXY, "-c", "-f", str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr


@contextmanager
def one_pod() -> Iterator[tuple[int, list[bytes], threading.Event]]:
    """A server with one session at a time, what it was asked, and the event on which it goes on."""
    asked: list[bytes] = []
    go_on = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    if request := connection.recv(64):
                        asked.append(request)
                        go_on.wait(20)
                        connection.sendall(b"done")

        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1], asked, go_on
        listener.shutdown(socket.SHUT_RDWR)


@contextmanager
def haproxy(folder: Path, pod: int, **settings: Any) -> Iterator[int]:
    """Run the deployed configuration with one fixed pod, and yield its port."""
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        port, status = one.getsockname()[1], other.getsockname()[1]
    text = configuration(port=port, status_port=status, **settings)
    path = folder / "haproxy.cfg"
    path.write_text(re.sub(r"server-template .*", f"server pod 127.0.0.1:{pod}", text))
    assert HAPROXY
    with subprocess.Popen([HAPROXY, "-W", "-db", "-f", str(path)], stderr=subprocess.DEVNULL) as process:
        try:
            wait_until_open(("127.0.0.1", port))
            yield port
        finally:
            process.terminate()


@with_haproxy
@pytest.mark.parametrize(
    ("order", "served"),
    [
        ("fifo", [b"1", b"0.3\n", b"2", b"0.25", b"15", b"1.5\n", b"150"]),
        ("longest_first", [b"1", b"150", b"15", b"2", b"1.5\n", b"0.3\n", b"0.25"]),
    ],
)
def test_those_that_wait_are_served_in_the_order(order: str, served: list[bytes], tmp_path: Path) -> None:
    """Sizes in decimals, with and without a newline; the first one finds the pod free."""
    requests = [b"1", b"0.3\n", b"2", b"0.25", b"15", b"1.5\n", b"150"]
    with one_pod() as (pod, asked, go_on), haproxy(tmp_path, pod, order=order) as port:
        connections = []
        for request in requests:
            connections.append(socket.create_connection(("127.0.0.1", port), timeout=20))
            connections[-1].sendall(request)
            time.sleep(0.1)  # the next one comes later
        go_on.set()
        assert [connection.recv(64) for connection in connections] == [b"done"] * len(requests)
    assert asked == served
