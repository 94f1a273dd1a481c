"""What the ``microk8s`` command prints and answers, as far as it needs no cluster."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from microk8s import addons, cluster, containers, main, services, status
from microk8s.paths import Paths


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    """Return a node's folders, with credentials this user may read."""
    made = Paths(tmp_path / "snap", tmp_path / "data", tmp_path / "common")
    for folder in (made.credentials, made.locks, made.args, made.certificates):
        folder.mkdir(parents=True)
    made.admin_config.write_text("server: https://127.0.0.1:16443\n")
    return made


def test_yaml_status_is_yaml_with_the_known_keys() -> None:
    text = status.render("yaml", running=True, enabled={"dns"})
    parsed = yaml.safe_load(text)
    assert "running: True" in text  # capitals, as MicroK8s writes them
    assert parsed["microk8s"] == {"running": True}
    assert parsed["high-availability"]["enabled"] is False
    assert [set(node) for node in parsed["high-availability"]["nodes"]] == [{"address", "role"}]
    states = {addon["name"]: addon["status"] for addon in parsed["addons"]}
    assert states.pop("dns") == "enabled"
    assert set(states.values()) == {"disabled"}
    assert all(
        set(addon) == {"name", "repository", "description", "version", "status"} for addon in parsed["addons"]
    )


def test_yaml_status_of_a_node_that_does_not_answer() -> None:
    parsed = yaml.safe_load(status.render("yaml", running=False, enabled=()))
    assert parsed["microk8s"]["running"] is False
    assert "not running" in parsed["microk8s"]["message"]


@pytest.mark.parametrize("style", ["pretty", "short"])
def test_status_for_people_begins_with_the_state(style: str) -> None:
    running = status.render(style, running=True, enabled={"dns"})
    assert running.splitlines()[0] == "microk8s is running"
    stopped = status.render(style, running=False, enabled=())
    assert stopped == "microk8s is not running. Use microk8s inspect for a deeper inspection.\n"


def test_pretty_status_lists_addons_under_their_state() -> None:
    lines = status.render("pretty", running=True, enabled={"dns"}).splitlines()
    assert lines[1] == "high-availability: no"
    assert lines.index("  enabled:") < lines.index("  disabled:")
    assert lines[lines.index("  enabled:") + 1] == "    dns                  # (core) CoreDNS"


def test_short_status_has_a_line_an_addon() -> None:
    lines = status.render("short", running=True, enabled={"dns"}).splitlines()
    assert "core/dns: enabled" in lines
    assert "core/ingress: disabled" in lines


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["status"], 0),
        (["status", "--wait-ready", "--format", "yaml"], 0),
        (["kubectl", "get", "nodes"], 1),
        (["ctr", "version"], 1),
        (["enable", "dns"], 1),
        (["images", "import", "x.tar"], 1),
    ],
)
def test_a_stopped_node_says_so(
    paths: Paths, capfd: pytest.CaptureFixture[str], words: list[str], code: int
) -> None:
    services.stopped_lock(paths).touch()
    assert main.run_command(paths, words) == code
    printed = capfd.readouterr()
    assert (printed.out if code == 0 else printed.err) == "microk8s is not running, try microk8s start\n"


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["status", "--wait-ready"], 0),
        (["kubectl", "get", "nodes"], 0),
        (["config"], 0),
        (["stop"], 0),
        (["enable", "dns"], 1),
        (["add-node"], 1),
        (["reset"], 1),
    ],
)
def test_a_worker_points_to_the_control_plane(
    paths: Paths, capfd: pytest.CaptureFixture[str], words: list[str], code: int
) -> None:
    services.clustered_lock(paths).touch()
    assert main.run_command(paths, words) == code
    assert capfd.readouterr().out == (
        "This MicroK8s deployment is acting as a node in a cluster.\nPlease use the control plane node.\n"
    )


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (["add-node", "--token", "short"], 1, "Invalid token size"),
        (["join"], 2, "Missing argument"),
        (["join", "198.51.100.11:25000/token", "--worker"], 1, "no invitation of the form"),
        (["join", "198.51.100.11:25000/token/0123", "--worker"], 1, "no invitation of the form"),
        (["join", "127.0.0.1:9/token/0123456789ab", "--worker"], 1, "Connection failed"),
        (["leave"], 1, "is not acting as a node in a cluster"),
        (["enable"], 2, "Missing argument"),
        (["enable", "nonsense"], 1, "was not found in any repository"),
        (["enable", "ingress"], 1, "not in this lab, which has: dns"),
        (["enable", "dns", "foo"], 1, "'foo' is not the address of a name server"),
        (["disable"], 2, "Missing argument"),
        (["images", "import", "/no/such.tar"], 1, "does not exist"),
        (["nonsense"], 1, "not a valid MicroK8s subcommand"),
    ],
)
def test_what_cannot_be_done(
    paths: Paths, capfd: pytest.CaptureFixture[str], words: list[str], code: int, text: str
) -> None:
    assert main.run_command(paths, words) == code
    assert text in "".join(capfd.readouterr())


def test_config_on_loopback_is_the_file(paths: Paths, capfd: pytest.CaptureFixture[str]) -> None:
    assert main.run_command(paths, ["config", "-l"]) == 0
    assert capfd.readouterr().out == "server: https://127.0.0.1:16443\n"


@pytest.mark.parametrize(
    ("conditions", "ready"),
    [
        ([{"type": "Ready", "status": "True"}], True),
        ([{"type": "MemoryPressure", "status": "True"}, {"type": "Ready", "status": "False"}], False),
        ([{"type": "Ready", "status": "Unknown"}], False),
        ([], False),
    ],
)
def test_a_node_is_ready_by_its_condition(conditions: list[dict[str, str]], ready: bool) -> None:
    assert cluster.is_node_ready({"status": {"conditions": conditions}}) is ready


@pytest.mark.parametrize(
    ("files", "servers"),
    [
        (
            ["nameserver 127.0.0.53\n", "nameserver 192.0.2.53\nnameserver 2001:db8::53\n"],
            ["192.0.2.53", "2001:db8::53"],
        ),
        (["nameserver 127.0.0.11\n"], []),
        (["# nameserver 192.0.2.1\nsearch example\n"], []),
        (["nameserver fe80::1%eth0\nnameserver 192.0.2.2\n"], ["192.0.2.2"]),
        ([], []),
    ],
)
def test_name_servers_a_pod_can_reach(files: list[str], servers: list[str]) -> None:
    assert addons.host_nameservers(files) == servers


@pytest.mark.parametrize("servers", [[], ["192.0.2.53", "192.0.2.54"]])
def test_the_dns_manifest_is_complete(tmp_path: Path, servers: list[str]) -> None:
    tree = Path(__file__).resolve().parents[3] / "lab" / "snap" / "tree"
    paths = Paths(tree, tmp_path, tmp_path)
    documents = list(yaml.safe_load_all(addons.manifest(paths, servers).replace("@IMAGE@", "image")))
    corefile = next(item["data"]["Corefile"] for item in documents if item["kind"] == "ConfigMap")
    assert ("forward . 192.0.2.53 192.0.2.54" in corefile) is bool(servers)
    assert ("loop" in corefile) is bool(servers)
    assert "@" not in corefile
    service = next(item for item in documents if item["kind"] == "Service")
    assert service["spec"]["clusterIP"] == addons.DNS_ADDRESS


SOCKET = "/var/snap/microk8s/common/run/containerd.sock"


def test_only_the_snaps_own_shims_and_what_they_started_are_found() -> None:
    shim = "/snap/microk8s/x1/bin/containerd-shim-runc-v2 -namespace k8s.io -id a -address"
    processes = {
        1: (0, "/sbin/init"),
        10: (1, f"{shim} {SOCKET}"),
        11: (10, "/pause"),
        12: (11, "sh"),
        20: (1, "/usr/bin/containerd-shim-runc-v2 -id b -address /run/containerd/containerd.sock"),
        21: (20, "sleep"),
        30: (1, f"grep containerd-shim -address {SOCKET}"),
    }
    found = containers.shims(processes, SOCKET)
    assert found == [10]
    assert containers.with_descendants(found, processes) == [10, 11, 12]


def test_mounts_are_listed_innermost_first() -> None:
    mounts = (
        "tmpfs /run tmpfs rw 0 0\n"
        "/dev/vda /var/snap ext4 rw 0 0\n"
        "overlay /var/snap/microk8s/common/run/a overlay rw 0 0\n"
        "tmpfs /var/snap/microk8s/common/run/a/b\\040c tmpfs rw 0 0\n"
        "tmpfs /var/snap/microk8s/common/running tmpfs rw 0 0\n"
    )
    inside = containers.mounts_under([Path("/var/snap/microk8s/common/run")], mounts)
    assert inside == ["/var/snap/microk8s/common/run/a/b c", "/var/snap/microk8s/common/run/a"]
