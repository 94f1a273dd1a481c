"""The image that every pod begins with, as containerd's configuration names it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from roles.microk8s.library import microk8s_sandbox
from roles.microk8s.library.microk8s_sandbox import sandbox_image

OF_1_6 = """\
[plugins."io.containerd.grpc.v1.cri"]
  # sandbox_image = "commented.example/pause:1"
  sandbox_image = "registry.k8s.io/pause:3.10"
"""
OF_2 = """\
[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = 'registry.k8s.io/pause:3.10'
[plugins.'io.containerd.cri.v1.images']
  use_local_image_pull = false
"""


@pytest.mark.parametrize("config", [OF_1_6, OF_2])
def test_the_sandbox_image_is_read_from_either_version(config: str) -> None:
    assert sandbox_image(config) == "registry.k8s.io/pause:3.10"


def test_a_configuration_may_name_none() -> None:
    assert sandbox_image('version = 2\nsandboxer = "podsandbox"\n') == ""


IMAGE = "registry.k8s.io/pause:3.10"


def run(
    top: Path, pulls: bool, restart_brings: bool, *, check: bool = False
) -> tuple[int, dict[str, Any], str]:
    """Run the module against a containerd without the image; return also what was done to that."""
    there, done = top / "there", top / "done"
    there.write_text("")
    done.write_text("")
    brings = f"echo {IMAGE} > {there}"
    programs = {
        "microk8s": f'case "$*" in *"ls -q") cat {there} ;; *pull*) echo pull >> {done}; '
        f"{brings if pulls else 'echo no route to host >&2; exit 1'} ;; esac",
        "snap": f'echo "$1" >> {done}; {brings if restart_brings else ":"}',
    }
    (top / "bin").mkdir()
    for name, script in programs.items():
        (top / "bin" / name).write_text(f"#!/bin/sh\n{script}\n")
        (top / "bin" / name).chmod(0o755)
    (top / "containerd.toml").write_text(OF_2)
    # The module as a host gets it, but for the two paths.
    source = Path(microk8s_sandbox.__file__).read_text()
    source = source.replace(microk8s_sandbox.MICROK8S, str(top / "bin" / "microk8s"))
    source = source.replace(str(microk8s_sandbox.CONFIG), str(top / "containerd.toml"))
    (top / "module.py").write_text(source)
    ended = subprocess.run(
        [sys.executable, top / "module.py"],
        input=json.dumps({"ANSIBLE_MODULE_ARGS": {"_ansible_check_mode": check}}),
        env={**os.environ, "PATH": f"{top / 'bin'}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return ended.returncode, json.loads(ended.stdout), done.read_text()


@pytest.mark.parametrize(
    ("pulls", "restart_brings", "done"),
    [(True, False, "pull\n"), (False, True, "pull\nrestart\n")],
    ids=["a registry", "an archive in sideload"],
)
def test_an_image_that_is_gone_is_brought_back(
    tmp_path: Path, pulls: bool, restart_brings: bool, done: str
) -> None:
    code, result, seen = run(tmp_path, pulls, restart_brings)
    assert (code, result["changed"], seen) == (0, True, done)


def test_where_nothing_brings_it_back_the_remedy_is_said(tmp_path: Path) -> None:
    code, result, _ = run(tmp_path, pulls=False, restart_brings=False)
    assert code == 1
    assert f"The sandbox image {IMAGE} is gone" in result["msg"]
    assert "no route to host" in result["msg"]
    assert "microk8s ctr images import pause.tar" in result["msg"]


def test_a_check_run_brings_nothing(tmp_path: Path) -> None:
    code, result, seen = run(tmp_path, pulls=True, restart_brings=False, check=True)
    assert (code, result["changed"], seen) == (0, True, "")
