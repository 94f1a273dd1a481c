"""The lab's inventory, as Ansible runs it: a program that prints JSON."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
HOSTS = ROOT / "inventory" / "lab" / "hosts.py"


def run(arguments: list[str], cache_home: Path, lab_hosts: str | None) -> subprocess.CompletedProcess[str]:
    environment = {"XDG_CACHE_HOME": str(cache_home), "PATH": "/usr/bin:/bin"}
    if lab_hosts is not None:
        environment["LAB_HOSTS"] = lab_hosts
    return subprocess.run(
        [sys.executable, HOSTS, *arguments], env=environment, capture_output=True, text=True, check=False
    )


def inventory(cache_home: Path, lab_hosts: str | None = None) -> dict[str, Any]:
    answer = run(["--list"], cache_home, lab_hosts)
    assert answer.returncode == 0, answer.stderr
    parsed: dict[str, Any] = json.loads(answer.stdout)
    return parsed


@pytest.mark.parametrize("lab_hosts", [None, "", "1"])
def test_one_host_by_default(tmp_path: Path, lab_hosts: str | None) -> None:
    found = inventory(tmp_path, lab_hosts)
    assert found["control_plane"]["hosts"] == ["lab1"]
    assert found["workers"]["hosts"] == []
    assert found["image_builder"]["hosts"] == ["lab1"]
    assert list(found["_meta"]["hostvars"]) == ["lab1"]


@pytest.mark.parametrize("hosts", [2, 3, 9])
def test_more_hosts_are_workers(tmp_path: Path, hosts: int) -> None:
    found = inventory(tmp_path, str(hosts))
    assert found["control_plane"]["hosts"] == ["lab1"]
    assert found["workers"]["hosts"] == [f"lab{number}" for number in range(2, hosts + 1)]
    variables = found["_meta"]["hostvars"]
    assert [variables[f"lab{number}"]["ansible_host"] for number in range(1, hosts + 1)] == [
        f"198.51.100.{10 + number}" for number in range(1, hosts + 1)
    ]


@pytest.mark.parametrize("lab_hosts", ["0", "10", "-1", "two", "1.5", "1 2", "²"])
def test_a_wrong_number_is_refused_with_the_range(tmp_path: Path, lab_hosts: str) -> None:
    answer = run(["--list"], tmp_path, lab_hosts)
    assert answer.returncode == 2
    assert "LAB_HOSTS must be a whole number from 1 to 9" in answer.stderr
    assert repr(lab_hosts) in answer.stderr
    assert "Traceback" not in answer.stderr


@pytest.mark.parametrize("arguments", [[], ["--lists"], ["--list", "more"]])
def test_wrong_arguments_show_the_usage(tmp_path: Path, arguments: list[str]) -> None:
    answer = run(arguments, tmp_path, None)
    assert answer.returncode == 2
    assert "usage:" in answer.stderr


def test_a_single_host_needs_no_second_call(tmp_path: Path) -> None:
    assert json.loads(run(["--host", "lab1"], tmp_path, None).stdout) == {}


def test_nothing_has_to_be_built_and_nothing_is_written(tmp_path: Path) -> None:
    inventory(tmp_path)
    assert not list(tmp_path.iterdir())


def test_paths_lie_in_the_cache(tmp_path: Path) -> None:
    found = inventory(tmp_path)
    root = tmp_path / "k8s-session-balancing"
    variables = found["all"]["vars"]
    snaps = variables["microk8s_files"]
    assert [(snap["name"], snap["classic"]) for snap in snaps] == [
        ("core", False),
        ("core22", False),
        ("microk8s", True),
    ]
    for snap in snaps:
        assert Path(snap["path"]).parent == root / "artefacts"
    assert Path(found["_meta"]["hostvars"]["lab1"]["ansible_ssh_private_key_file"]).parent == root / "lab"


def test_host_keys_are_checked(tmp_path: Path) -> None:
    options = inventory(tmp_path)["_meta"]["hostvars"]["lab1"]["ansible_ssh_common_args"]
    known_hosts = tmp_path / "k8s-session-balancing" / "lab" / "known_hosts"
    assert f"UserKnownHostsFile={known_hosts} -o StrictHostKeyChecking=yes" in options
    answer = subprocess.run(
        [Path(sys.executable).with_name("ansible-config"), "dump", "--format", "json"],
        env={"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    settings = {each["name"]: each["value"] for each in json.loads(answer.stdout) if "name" in each}
    assert settings["HOST_KEY_CHECKING"] is True
    assert "StrictHostKeyChecking" not in (ROOT / "ansible.cfg").read_text(encoding="utf-8")


def test_localhost_inherits_no_connection(tmp_path: Path) -> None:
    assert not [name for name in inventory(tmp_path)["all"]["vars"] if name.startswith("ansible_")]


def test_every_host_that_can_be_is_known_to_the_others(tmp_path: Path) -> None:
    addresses = inventory(tmp_path)["all"]["vars"]["lab_addresses"]
    assert len(addresses) == 9
    assert inventory(tmp_path, "9")["_meta"]["hostvars"]["lab9"]["ansible_host"] == addresses["lab9"]


def test_ansible_reads_it(tmp_path: Path) -> None:
    answer = subprocess.run(
        [Path(sys.executable).with_name("ansible-inventory"), "-i", HOSTS.parent, "--list"],
        env={
            "XDG_CACHE_HOME": str(tmp_path),
            "PATH": "/usr/bin:/bin",
            "LAB_HOSTS": "2",
            "HOME": str(tmp_path),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    found = json.loads(answer.stdout)
    assert found["workers"]["hosts"] == ["lab2"]
    assert found["_meta"]["hostvars"]["lab1"]["session_image_base_archive"].startswith("/var/lib/")
