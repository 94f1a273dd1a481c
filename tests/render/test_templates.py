"""The server's manifests that come out of the templates: structure, one variable overridden at a time."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import session_server.settings
from ansible.errors import AnsibleError
from ansible.template import trust_as_template

from tests.render.rendering import TEMPLATES, at, defaults, render, render_text

PREFIX = "session_server_"
POD = "spec.template.spec"
CONTAINER = f"{POD}.containers.0"


def container() -> dict[str, Any]:
    found: dict[str, Any] = at(render("deployment.yml.j2"), CONTAINER)
    return found


@pytest.mark.parametrize("template", TEMPLATES)
def test_every_template_renders_from_the_defaults(template: str) -> None:
    assert render_text(template).strip()


def test_a_variable_that_is_not_defined_is_an_error() -> None:
    with pytest.raises(AnsibleError, match="undefined"):
        render_text("namespace.yml.j2", session_server_namespace=trust_as_template("{{ no_such_variable }}"))


@pytest.mark.parametrize("template", TEMPLATES)
def test_every_manifest_bears_the_bundles_label(template: str) -> None:
    labels = at(render(template), "metadata.labels")
    assert labels["app.kubernetes.io/part-of"] == "k8s-session-balancing"


@pytest.mark.parametrize(
    ("template", "variable", "value", "path", "expected"),
    [
        ("namespace.yml.j2", "namespace", "lab", "metadata.name", "lab"),
        ("deployment.yml.j2", "namespace", "lab", "metadata.namespace", "lab"),
        ("service.yml.j2", "namespace", "lab", "metadata.namespace", "lab"),
        # A name that YAML would take for something else stays a string.
        ("deployment.yml.j2", "name", "1e3", "metadata.name", "1e3"),
        (
            "deployment.yml.j2",
            "name",
            "primes",
            "spec.selector.matchLabels",
            {"app.kubernetes.io/name": "primes"},
        ),
        ("deployment.yml.j2", "image", "registry.example/x:y", f"{CONTAINER}.image", "registry.example/x:y"),
        ("deployment.yml.j2", "port", 6001, f"{CONTAINER}.ports.0.containerPort", 6001),
        ("service.yml.j2", "port", 6001, "spec.ports.0.port", 6001),
        ("service.yml.j2", "node_port", 31000, "spec.ports.0.nodePort", 31000),
        ("service.yml.j2", "name", "primes", "spec.selector", {"app.kubernetes.io/name": "primes"}),
        ("deployment.yml.j2", "cpu_request", "1", f"{CONTAINER}.resources.requests.cpu", "1"),
        ("deployment.yml.j2", "memory_request", "1Gi", f"{CONTAINER}.resources.requests.memory", "1Gi"),
        ("deployment.yml.j2", "memory_limit", "2Gi", f"{CONTAINER}.resources.limits.memory", "2Gi"),
        ("deployment.yml.j2", "pull_policy", "IfNotPresent", f"{CONTAINER}.imagePullPolicy", "IfNotPresent"),
        (
            "deployment.yml.j2",
            "environment",
            {"OMP_NUM_THREADS": 1, "QUOTES": "\"'{}: #", "DOLLARS": "$(x)$$"},
            f"{CONTAINER}.env",
            [
                {"name": "OMP_NUM_THREADS", "value": "1"},
                {"name": "QUOTES", "value": "\"'{}: #"},
                {"name": "DOLLARS", "value": "$$(x)$$$$"},
            ],
        ),
        ("deployment.yml.j2", "max_seconds", 60, f"{POD}.terminationGracePeriodSeconds", 95),
        ("deployment.yml.j2", "receive_timeout", 0.5, f"{POD}.terminationGracePeriodSeconds", 86431),
        ("deployment.yml.j2", "grace_seconds", "100", f"{POD}.terminationGracePeriodSeconds", 86505),
    ],
)
def test_a_variable_shows_in_its_place(
    template: str, variable: str, value: Any, path: str, expected: Any
) -> None:
    found = at(render(template, **{PREFIX + variable: value}), path)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("replicas", "spare", "may_stop"),
    [(7, True, 1), (2, False, 1), (1, True, 0), (1, False, 1)],
    ids=["many", "all there is room for", "one beside which its successor fits", "one without room for two"],
)
def test_a_rollout_stops_no_pod_only_if_it_is_the_only_one_and_its_successor_has_room(
    replicas: int, spare: bool, may_stop: int
) -> None:
    spec = render("deployment.yml.j2", session_manifests_room={"replicas": replicas, "spare": spare})["spec"]
    assert spec["replicas"] == replicas
    assert spec["strategy"]["rollingUpdate"]["maxUnavailable"] == may_stop


@pytest.mark.parametrize(("replicas", "kept"), [(5, 1), (2, 1), (1, 0)])
def test_a_drained_node_leaves_a_pod_that_could_take_a_session(replicas: int, kept: int) -> None:
    room = {"replicas": replicas, "spare": True}
    budget = render("disruption-budget.yml.j2", session_manifests_room=room, session_server_name="primes")
    assert at(budget, "spec.minAvailable") == kept
    pods = at(render("deployment.yml.j2", session_server_name="primes"), "spec.template.metadata.labels")
    assert at(budget, "spec.selector.matchLabels").items() <= pods.items()


@pytest.mark.parametrize(
    ("settings", "cores"),
    [
        ({}, "100m"),
        ({"replicas": "auto"}, "1"),
        ({"workload": "command", "command": ["/opt/primes"]}, "1"),
        ({"workload": "own"}, "1"),
        ({"workload": "own", "cpu_request": "500m"}, "500m"),
    ],
    ids=["sleepers", "as many as there is room for", "a command", "a server of one's own", "asked for less"],
)
def test_programs_get_a_core_each_unless_asked(settings: dict[str, Any], cores: str) -> None:
    manifest = render("deployment.yml.j2", **{PREFIX + name: value for name, value in settings.items()})
    assert at(manifest, f"{CONTAINER}.resources.requests.cpu") == cores


@pytest.mark.parametrize(
    "template", ["deployment.yml.j2", "queue-deployment.yml.j2", "haproxy-deployment.yml.j2"]
)
def test_what_a_lost_node_ran_is_replaced_within_seconds(template: str) -> None:
    tolerations = at(render(template), f"{POD}.tolerations")
    assert {each["key"] for each in tolerations} == {
        "node.kubernetes.io/unreachable",
        "node.kubernetes.io/not-ready",
    }
    for toleration in tolerations:
        assert toleration["effect"] == "NoExecute"
        assert 0 < toleration["tolerationSeconds"] <= 30


@pytest.mark.parametrize("template", ["queue-deployment.yml.j2", "haproxy-deployment.yml.j2"])
def test_what_is_in_front_of_the_server_prefers_control_planes(template: str) -> None:
    affinity = at(render(template), f"{POD}.affinity.nodeAffinity")
    (preferred,) = affinity["preferredDuringSchedulingIgnoredDuringExecution"]
    (expression,) = preferred["preference"]["matchExpressions"]
    assert expression == {"key": "node.kubernetes.io/microk8s-controlplane", "operator": "Exists"}
    assert "requiredDuringSchedulingIgnoredDuringExecution" not in affinity


def test_without_a_node_port_kubernetes_chooses() -> None:
    assert "nodePort" not in at(render("service.yml.j2"), "spec.ports.0")


def test_sessions_through_the_service_are_bound_on_arrival_by_any_node() -> None:
    spec = render("service.yml.j2")["spec"]
    assert (spec["type"], spec["externalTrafficPolicy"], spec["sessionAffinity"]) == (
        "NodePort",
        "Cluster",
        "None",
    )


def test_the_service_selects_the_deployments_pods_and_their_port() -> None:
    service, deployment = render("service.yml.j2")["spec"], render("deployment.yml.j2")["spec"]
    labels = deployment["template"]["metadata"]["labels"]
    assert service["selector"].items() <= labels.items()
    assert deployment["selector"]["matchLabels"].items() <= labels.items()
    assert service["ports"][0]["targetPort"] == at(deployment, "template.spec.containers.0.ports.0.name")


def test_the_namespace_admits_restricted_pods_only() -> None:
    assert (
        at(render("namespace.yml.j2"), "metadata.labels")["pod-security.kubernetes.io/enforce"]
        == "restricted"
    )


def test_a_pod_has_no_privileges_and_no_credentials() -> None:
    pod = at(render("deployment.yml.j2"), POD)
    assert pod["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 10001,
        "runAsGroup": 10001,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert pod["containers"][0]["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False


def test_pods_spread_over_nodes_without_depending_on_it() -> None:
    (constraint,) = at(render("deployment.yml.j2"), f"{POD}.topologySpreadConstraints")
    assert constraint["topologyKey"] == "kubernetes.io/hostname"
    assert constraint["whenUnsatisfiable"] == "ScheduleAnyway"
    labels = at(render("deployment.yml.j2"), "spec.template.metadata.labels")
    assert constraint["labelSelector"]["matchLabels"].items() <= labels.items()


def test_the_image_is_never_asked_of_a_registry() -> None:
    assert container()["imagePullPolicy"] == "Never"


def test_the_processor_is_promised_and_not_limited() -> None:
    resources = container()["resources"]
    assert "cpu" in resources["requests"]
    assert "cpu" not in resources["limits"]


@pytest.mark.parametrize("max_seconds", [0.5, 1, 3600, 86400])
def test_a_pod_that_must_stop_has_time_to_finish_the_longest_session(max_seconds: float) -> None:
    pod = at(render("deployment.yml.j2", session_server_max_seconds=max_seconds), POD)
    receive_timeout = defaults("session_server")["session_server_receive_timeout"]
    way_out = at(pod, "containers.0.lifecycle.preStop.sleep.seconds")
    assert pod["terminationGracePeriodSeconds"] > max_seconds + receive_timeout + way_out


@pytest.mark.parametrize(
    ("variable", "value", "attribute", "expected"),
    [
        ("port", 6001, "port", 6001),
        ("receive_timeout", 2.5, "receive_timeout", 2.5),
        ("reply_timeout", 90, "reply_timeout", 90.0),
        ("max_seconds", 60, "max_seconds", 60.0),
    ],
)
def test_the_server_understands_its_arguments(
    variable: str, value: Any, attribute: str, expected: Any
) -> None:
    arguments = at(render("deployment.yml.j2", **{PREFIX + variable: value}), f"{CONTAINER}.args")
    assert all(isinstance(argument, str) for argument in arguments)
    settings = session_server.settings.parse_arguments(arguments)
    assert getattr(settings, attribute) == expected
    assert settings.host == "0.0.0.0"


COMMAND = {
    "session_server_workload": "command",
    "session_server_command": ["sh", "-c", "echo \"$1\" $$ $(id); # {x}: 'y'", "sh", "{request}"],
}
OWN = {"session_server_workload": "own"}


def test_the_server_understands_a_command_of_any_characters() -> None:
    manifest = render(
        "deployment.yml.j2",
        **COMMAND,
        session_server_max_output="5000",
        session_server_on_disconnect="finish",
    )
    # Kubernetes would put in variables, $(NAME), if a $ were not doubled.
    as_run = [part.replace("$$", "$") for part in at(manifest, f"{CONTAINER}.args")]
    settings = session_server.settings.parse_arguments(as_run)
    assert settings.workload == "command"
    assert settings.command == COMMAND["session_server_command"]
    assert (settings.max_output, settings.on_disconnect) == (5000, "finish")


def test_an_image_of_somebody_elses_gets_its_own_arguments() -> None:
    manifest = render("deployment.yml.j2", **OWN, session_server_arguments=["--price=$5", 7000])
    assert at(manifest, f"{CONTAINER}.args") == ["--price=$$5", "7000"]
    assert "args" not in at(render("deployment.yml.j2", **OWN), CONTAINER)


def test_readiness_is_a_command_or_nothing() -> None:
    asked = at(render("deployment.yml.j2", session_server_ready_command=["/ready", "x: y"]), CONTAINER)
    for probe in ("startupProbe", "readinessProbe"):
        assert asked[probe]["exec"]["command"] == ["/ready", "x: y"]
    started = at(render("deployment.yml.j2", session_server_ready_command=[]), CONTAINER)
    assert not {"startupProbe", "readinessProbe"} & started.keys()


@pytest.mark.parametrize("workload", [COMMAND, OWN], ids=["command", "own"])
def test_a_users_program_has_a_place_to_write_and_no_more_rights(workload: dict[str, Any]) -> None:
    pod = at(render("deployment.yml.j2", **workload), POD)
    (volume,) = pod["volumes"]
    assert pod["containers"][0]["volumeMounts"] == [{"name": volume["name"], "mountPath": "/tmp"}]
    assert volume["emptyDir"] == {}
    assert pod["securityContext"] == at(render("deployment.yml.j2"), f"{POD}.securityContext")
    assert pod["containers"][0]["securityContext"] == container()["securityContext"]


class TestProbe:
    """The probes' command, run for real against the kernel's table."""

    @pytest.fixture
    def listener(self) -> Iterator[socket.socket]:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            yield listener

    @staticmethod
    def succeeds(port: int, probe: str) -> bool:
        manifest = render("deployment.yml.j2", session_server_port=port)
        return subprocess.run(at(manifest, f"{CONTAINER}.{probe}.exec.command"), check=False).returncode == 0

    @pytest.fixture(params=["startupProbe", "readinessProbe"])
    def probe(self, request: pytest.FixtureRequest) -> str:
        return str(request.param)

    def test_a_listening_server_is_ready_and_gets_no_connection(
        self, listener: socket.socket, probe: str
    ) -> None:
        assert self.succeeds(listener.getsockname()[1], probe)
        listener.settimeout(0.1)
        with pytest.raises(TimeoutError):
            listener.accept()

    def test_a_server_on_ipv6_is_ready(self, probe: str) -> None:
        try:
            listener = socket.create_server(("::1", 0), family=socket.AF_INET6)
        except OSError:
            pytest.skip("this machine has no IPv6")
        with listener:
            assert self.succeeds(listener.getsockname()[1], probe)

    def test_a_server_that_no_longer_listens_is_not_ready(self, listener: socket.socket, probe: str) -> None:
        port = listener.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)), listener.accept()[0]:
            listener.close()  # the session in hand goes on, with the same local port
            assert not self.succeeds(port, probe)

    def test_neither_probe_connects(self) -> None:
        for probe in ("startupProbe", "readinessProbe"):
            assert not {"tcpSocket", "httpGet", "grpc"} & container()[probe].keys()
