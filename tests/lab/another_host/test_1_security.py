"""Pods that only the queue reaches and that have no rights, and no secret where people look."""

from __future__ import annotations

import base64
import json
import re
import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
import yaml

from roles.session_image.module_utils.session_image_layout import Layout
from tests.lab.cluster import ANOTHER_HOST, lab
from tests.lab.harness import KUBECTL, SHORT_RUN, OnNode, Outcome, Playbook
from tests.lab.plain_client import wait_until_open

SNAP_DATA = "/var/snap/microk8s/current"
ONLY_QUEUE = ("-e", "session_dispatches=queue")
TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount/token"
SHORTEST_SECRET = 16
"""Characters; what is shorter could stand anywhere by chance."""
CONNECT = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=3)"
ASK_API = """
import ssl, urllib.error, urllib.request
try:
    urllib.request.urlopen("https://10.152.183.1/api", context=ssl._create_unverified_context(), timeout=10)
except urllib.error.HTTPError as error:
    print(error.code)
"""

Kubectl = Callable[[str], str]


@pytest.fixture(scope="module")
def only_queue(ordinary_server: None, playbook: Playbook) -> Iterator[Outcome]:
    """Stages run, with as much output as there is, by somebody who wants no sessions past the queue."""
    stages = ("playbooks/cluster.yml", "playbooks/deploy.yml", "playbooks/measure.yml")
    done = playbook(*stages, *ONLY_QUEUE, *SHORT_RUN, "-vvv")
    assert done.returncode == 0
    yield done
    assert playbook("playbooks/deploy.yml").returncode == 0


@pytest.fixture(scope="module")
def stranger(only_queue: Outcome, kubectl: Kubectl) -> Iterator[str]:
    """A pod of another namespace, with Python in it."""
    image = kubectl("get deployment singlethread -o jsonpath='{.spec.template.spec.containers[0].image}'")
    pod = f"stranger --image={image} --image-pull-policy=Never --restart=Never"
    kubectl(f"-n default run {pod} --command -- python3 -c 'import time; time.sleep(3600)'")
    kubectl("-n default wait pod stranger --for=condition=Ready --timeout=60s")
    yield "-n default exec stranger"
    kubectl("-n default delete pod stranger --now")


def private_key() -> Path:
    """The key by which Ansible logs in."""
    return Path(lab()["_meta"]["hostvars"][ANOTHER_HOST.nodes[0]]["ansible_ssh_private_key_file"])


def address_of(kubectl: Kubectl, name: str) -> str:
    """The address of the first of a workload's pods."""
    return kubectl(f"get pods -l app.kubernetes.io/name={name} -o jsonpath='{{.items[0].status.podIP}}'")


def connects(on_node: OnNode, where: str, address: str, port: int) -> bool:
    """Whether a connection can be made from a pod, named as kubectl's arguments."""
    return on_node(f"{KUBECTL} {where} -- python3 -c '{CONNECT}' {address} {port}").returncode == 0


def test_of_all_pods_the_queue_alone_reaches_a_server(
    stranger: str, on_node: OnNode, kubectl: Kubectl
) -> None:
    server, queue = address_of(kubectl, "singlethread"), address_of(kubectl, "session-queue")
    assert connects(on_node, "exec deployment/session-queue", server, 5501)
    assert not connects(on_node, stranger, server, 5501)
    # No policy stands between a pod and itself.
    other = kubectl("get pods -l app.kubernetes.io/name=singlethread -o jsonpath='{.items[1].metadata.name}'")
    assert not connects(on_node, f"exec {other}", server, 5501)
    assert connects(on_node, stranger, queue, 5501)
    # What people read through the API, and Prometheus from inside.
    assert connects(on_node, stranger, queue, 9100)


def test_the_servers_port_on_the_node_is_closed_and_the_queues_is_open(
    only_queue: Outcome, kubectl: Kubectl
) -> None:
    host = kubectl("get nodes -o jsonpath='{.items[0].status.addresses[?(@.type==\"InternalIP\")].address}'")
    port = "get service {} -o jsonpath='{{.spec.ports[0].nodePort}}'"
    wait_until_open((host, int(kubectl(port.format("session-queue")))))
    with pytest.raises(AssertionError):
        wait_until_open((host, int(kubectl(port.format("singlethread")))), limit=2)


def test_sessions_come_through_the_queue(only_queue: Outcome) -> None:
    run = json.loads((ANOTHER_HOST.results / "latest/run.json").read_text(encoding="utf-8"))
    (measurement,) = run["measurements"]
    assert measurement["dispatch"] == "queue"
    assert (measurement["summary"]["sessions_done"], measurement["summary"]["sessions_failed"]) == (5, 0)


def test_a_server_has_no_account_and_the_api_does_not_listen_to_it(
    only_queue: Outcome, on_node: OnNode
) -> None:
    server = f"{KUBECTL} exec deployment/singlethread --"
    assert on_node(f"{server} ls /var/run/secrets").returncode != 0
    assert on_node(f"{server} python3 -c '{ASK_API}'").stdout == "401\n"


def test_a_pod_with_privileges_is_refused(deployed: None, on_node: OnNode) -> None:
    done = on_node(f"{KUBECTL} run privileged --image=x --privileged --dry-run=server")
    assert done.returncode != 0
    assert "violates PodSecurity" in done.stderr


def test_pods_run_the_very_images_that_were_built(deployed: None, kubectl: Kubectl) -> None:
    """Also by their digests, which the controller has from what was built."""
    built = Layout(ANOTHER_HOST.images)
    for pod in json.loads(kubectl("get pods -o json"))["items"]:
        (status,) = pod["status"]["containerStatuses"]
        reference = pod["spec"]["containers"][0]["image"]
        assert status["imageID"] in [image["id"] for image in built.images(reference).values()]


@pytest.fixture(scope="module")
def secrets(deployed: None, on_node: OnNode, kubectl: Kubectl) -> set[str]:
    """What nobody may read anywhere: lines of keys, tokens, certificates that log in."""
    users = [
        each["user"] for each in yaml.safe_load(ANOTHER_HOST.kubeconfig.read_text(encoding="utf-8"))["users"]
    ]
    whole = [str(value) for user in users for value in user.values()]
    whole += [base64.b64decode(value).decode() for value in whole if value.startswith("LS0t")]
    whole.append(kubectl(f"exec deployment/session-queue -- cat {TOKEN}"))
    whole.append(private_key().read_text(encoding="utf-8"))
    there = on_node(f"cat {SNAP_DATA}/certs/*.key")
    assert there.returncode == 0
    whole.append(there.stdout)
    lines = {line.strip() for text in whole for line in text.splitlines() if not line.startswith("-----")}
    found = {line for line in lines if len(line) >= SHORTEST_SECRET}
    assert len(found) > len(users)
    return found


def found_in(text: str, secrets: Iterable[str]) -> list[str]:
    """The beginnings of secrets that stand in a text, and of anything that looks like one."""
    looks = re.findall(r"-----BEGIN [A-Z ]*PRIVATE KEY-----|\beyJhbGciOi\w+", text)
    return [secret[:8] for secret in secrets if secret in text] + looks


def test_no_secret_is_printed(only_queue: Outcome, secrets: set[str]) -> None:
    assert found_in(only_queue.output, secrets) == []


def test_no_secret_is_in_the_results(only_queue: Outcome, secrets: set[str]) -> None:
    files = [path for path in (ANOTHER_HOST.results / "latest").resolve().rglob("*") if path.is_file()]
    assert len(files) > 5
    found = {path.name: found_in(path.read_text(encoding="utf-8"), secrets) for path in files}
    assert [name for name, what in found.items() if what] == []


def test_no_secret_is_in_logs_and_events(only_queue: Outcome, secrets: set[str], on_node: OnNode) -> None:
    logs = on_node(f"for pod in $({KUBECTL} get pods -o name); do {KUBECTL} logs $pod; done")
    events = on_node(f"{KUBECTL} get events -o yaml")
    assert found_in(logs.stdout + events.stdout, secrets) == []
    # What Ansible's modules tell the host's journal among it.
    journal = on_node("journalctl --boot --no-pager --output=cat")
    assert "ansible" in journal.stdout
    assert found_in(journal.stdout, secrets) == []


def test_secrets_are_their_owners_alone(deployed: None, on_node: OnNode) -> None:
    for path in (ANOTHER_HOST.kubeconfig, private_key()):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    secret = (
        "-type f -not -name '*.crt' -not -name '*.srl'"  # certificates and their numbers are for all to see
    )
    folders = f"{SNAP_DATA}/certs {SNAP_DATA}/credentials"
    assert on_node(f"find {folders} {secret}").stdout
    assert on_node(f"find {folders} {secret} -perm /007").stdout == ""
    assert on_node("stat -c '%U %a' /etc/microk8s.yaml").stdout == "root 600\n"
