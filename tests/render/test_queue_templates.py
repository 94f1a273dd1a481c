"""The queue's manifests: their structure, and a command line that the dispatcher itself understands."""

from __future__ import annotations

from typing import Any

import pytest
from dispatcher.cli import Arguments, parse_arguments
from dispatcher.settings import EmptyReply, Mode, OrderName

from tests.render.rendering import TEMPLATES, at, render

QUEUE_TEMPLATES = [name for name in TEMPLATES if name.startswith("queue-")]
POD = "spec.template.spec"
CONTAINER = f"{POD}.containers.0"


def deployment(**settings: Any) -> dict[str, Any]:
    return render(
        "queue-deployment.yml.j2", **{f"session_queue_{name}": value for name, value in settings.items()}
    )


def arguments(**settings: Any) -> Arguments:
    given = at(deployment(**settings), f"{CONTAINER}.args")
    assert all(isinstance(argument, str) for argument in given)
    return parse_arguments(given)


@pytest.mark.parametrize("template", QUEUE_TEMPLATES)
def test_everything_bears_the_name_by_which_it_is_removed(template: str) -> None:
    manifest = render(template, session_queue_name="waiting-room", session_queue_namespace="lab")
    assert at(manifest, "metadata.labels")["app.kubernetes.io/name"] == "waiting-room"
    assert at(manifest, "metadata.namespace") == "lab"


@pytest.mark.parametrize(
    ("variable", "value", "attribute", "expected"),
    [
        ("order", "longest_first", "order", OrderName.LONGEST_FIRST),
        ("mode", "stream", "mode", Mode.STREAM),
        ("fair", True, "fair", True),
        ("fair", "false", "fair", False),  # as from the command line
        ("half_close", False, "half_close", False),
        ("probe", "false", "probe", False),
        ("empty_reply", "done", "empty_reply", EmptyReply.DONE),
        ("stall_limit", 5, "stall_limit", 5.0),
        ("settle", 0.2, "settle", 0.2),
        ("gather", 1, "gather", 1.0),
        ("age_limit", 60, "age_limit", 60.0),
        ("max_waiting", "7", "max_waiting", 7),
        ("no_pods_limit", 90, "no_pods_limit", 90.0),
        ("attempts", 2, "attempts", 2),
        ("session_limit", 900, "session_limit", 900.0),
        ("grace_seconds", 45, "grace", 45.0),
    ],
)
def test_the_dispatcher_understands_a_setting(
    variable: str, value: Any, attribute: str, expected: Any
) -> None:
    found = getattr(arguments(**{variable: value}).settings, attribute)
    assert found == expected
    assert type(found) is type(expected)


def test_the_dispatcher_serves_the_service_on_the_container_ports() -> None:
    parsed = arguments(namespace="lab", service="primes", port=6001, status_port=6002)
    assert parsed.service == ("lab", "primes")
    assert parsed.port_name is None
    assert (parsed.listen, parsed.status) == (("0.0.0.0", 6001), ("0.0.0.0", 6002))
    ports = at(deployment(port=6001, status_port=6002), f"{CONTAINER}.ports")
    assert {port["name"]: port["containerPort"] for port in ports} == {"session": 6001, "status": 6002}


def test_a_service_with_several_ports_needs_the_name_of_one() -> None:
    assert arguments(service_port="session").port_name == "session"


def test_there_are_never_two_queues() -> None:
    spec = deployment()["spec"]
    assert spec["replicas"] == 1
    assert spec["strategy"] == {"type": "Recreate"}


@pytest.mark.parametrize("grace", [0, 0.5, 3600])
def test_the_dispatcher_ends_before_it_is_killed(grace: float) -> None:
    manifest = deployment(grace_seconds=grace)
    takes_clients = at(manifest, f"{CONTAINER}.lifecycle.preStop.sleep.seconds")
    assert at(manifest, f"{POD}.terminationGracePeriodSeconds") > grace + takes_clients


def test_the_image_is_never_asked_of_a_registry() -> None:
    assert at(deployment(), f"{CONTAINER}.imagePullPolicy") == "Never"


def test_its_pod_has_no_privileges() -> None:
    pod = at(deployment(), POD)
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["containers"][0]["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_it_may_look_at_endpoint_slices_and_nothing_else() -> None:
    (rule,) = render("queue-role.yml.j2")["rules"]
    assert rule == {
        "apiGroups": ["discovery.k8s.io"],
        "resources": ["endpointslices"],
        "verbs": ["list", "watch"],
    }
    binding = render("queue-role-binding.yml.j2")
    account = render("queue-service-account.yml.j2")
    assert binding["roleRef"]["name"] == render("queue-role.yml.j2")["metadata"]["name"]
    (subject,) = binding["subjects"]
    assert (subject["kind"], subject["name"]) == ("ServiceAccount", account["metadata"]["name"])
    assert at(deployment(), f"{POD}.serviceAccountName") == account["metadata"]["name"]


@pytest.mark.parametrize(
    ("template", "kind", "port"),
    [("queue-service.yml.j2", "NodePort", "session"), ("queue-status-service.yml.j2", "ClusterIP", "status")],
)
def test_a_service_selects_the_queue_and_one_of_its_ports(template: str, kind: str, port: str) -> None:
    spec, pod = render(template)["spec"], at(deployment(), "spec.template")
    assert spec["type"] == kind
    assert spec["selector"].items() <= pod["metadata"]["labels"].items()
    assert [each["targetPort"] for each in spec["ports"]] == [port]
    assert port in [each["name"] for each in at(pod, "spec.containers.0.ports")]


def test_the_node_port_is_fixed_on_request_alone() -> None:
    assert "nodePort" not in at(render("queue-service.yml.j2"), "spec.ports.0")
    fixed = render("queue-service.yml.j2", session_queue_node_port="31001")
    assert at(fixed, "spec.ports.0.nodePort") == 31001


def test_probes_look_at_the_status_port_and_open_no_session() -> None:
    container = at(deployment(), CONTAINER)
    probes = [container[name]["httpGet"] for name in ("startupProbe", "readinessProbe", "livenessProbe")]
    assert {probe["port"] for probe in probes} == {"status"}


@pytest.mark.parametrize(
    ("variable", "value", "path"),
    [
        ("image", "registry.example/x:y", "image"),
        ("cpu_request", "1", "resources.requests.cpu"),
        ("memory_request", "1Gi", "resources.requests.memory"),
        ("memory_limit", "2Gi", "resources.limits.memory"),
    ],
)
def test_a_variable_shows_in_its_place(variable: str, value: str, path: str) -> None:
    assert at(deployment(**{variable: value}), f"{CONTAINER}.{path}") == value
