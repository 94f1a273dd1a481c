"""Controllers as people have them: settings of the environment that keep a run from finding what it needs."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.render.rendering import ROOT
from tests.unit.playbooks.playing import ansible, write_inventory, write_play

FAR = {"ANSIBLE_ROLES_PATH": "/nowhere"}


@pytest.mark.parametrize("env", [{}, FAR], ids=["no configuration", "ANSIBLE_ROLES_PATH"])
def test_roles_are_found_without_the_configuration(env: dict[str, str], tmp_path: Path) -> None:
    """As in a folder that all may write to, with another ANSIBLE_CONFIG, or in the folder playbooks."""
    inventory = write_inventory(tmp_path / "mine")
    playbook = ROOT / "playbooks/preflight.yml"
    done = ansible(
        "-i",
        inventory,
        playbook,
        "--check",
        "--limit",
        "localhost,node1",
        cwd=ROOT / "playbooks",
        config=None,
        env=env,
    )
    assert "was not found" not in done.stdout + done.stderr
    assert "Run Python on the host" in done.stdout
    assert "localhost                  : ok=" in done.stdout


@pytest.mark.parametrize(
    "localhost",
    [
        {"ansible_connection": "local"},
        {"ansible_connection": "local", "ansible_python_interpreter": "/usr/bin/python3"},
        {},
    ],
    ids=["local", "with the system's Python", "by SSH"],
)
def test_localhost_in_the_inventory_runs_what_ansible_runs(localhost: dict[str, str], tmp_path: Path) -> None:
    inventory = write_inventory(tmp_path / "mine")
    (inventory / "localhost.yml").write_text(
        f'{{"all": {{"hosts": {{"localhost": {localhost or "{}"}}}}}}}'.replace("'", '"')
    )
    (tmp_path / "playbooks").mkdir()
    shutil.copytree(ROOT / "playbooks/host_vars", tmp_path / "playbooks/host_vars")
    shutil.copytree(ROOT / "playbooks/group_vars", tmp_path / "playbooks/group_vars")
    tasks: list[dict[str, Any]] = [
        {"ansible.builtin.setup": {"gather_subset": "min"}},
        {"ansible.builtin.debug": {"msg": "runs {{ ansible_facts.python.executable }}"}},
    ]
    play = write_play(tmp_path / "playbooks/where.yml", tasks)
    done = ansible("-i", inventory, play)
    assert f"runs {ROOT}/.venv/bin/python" in done.stdout, done.stdout + done.stderr


def test_a_python_without_the_libraries_is_found_before_anything_is_done(tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    subprocess.run([str(ROOT / ".venv/bin/python"), "-m", "venv", "--without-pip", str(bare)], check=True)
    inventory = write_inventory(tmp_path / "mine")
    done = ansible(
        "-i",
        inventory,
        ROOT / "playbooks/preflight.yml",
        "--check",
        "-e",
        f"ansible_python_interpreter={bare}/bin/python3",
    )
    assert done.returncode == 2
    assert f"{bare}/bin/python3" in done.stdout
    assert "lacks the Python libraries kubernetes" in done.stdout
    assert "ansible_python_interpreter" in done.stdout


def make(target: str, folder: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Have make print what a target would run, and with what."""
    makefile = folder / "more.mk"
    makefile.write_text(
        f"include {ROOT}/Makefile\nseen:\n\t@env | grep -E '^(LC_ALL|LANG|ANSIBLE_CONFIG)=' | sort\n"
        "\t@.venv/bin/ansible --version | head -2\n"
    )
    return subprocess.run(
        ["make", "--no-print-directory", "-C", str(ROOT), "-f", str(makefile), target],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    "env",
    [
        {"LC_ALL": "C"},
        {"LC_ALL": "xx_YY.UTF-8"},
        {"LANG": "xx_YY.UTF-8", "LC_ALL": ""},
        {"LC_CTYPE": "POSIX"},
    ],
    ids=["C", "not installed", "language not installed", "part of it"],
)
def test_make_brings_the_locale_that_ansible_needs(env: dict[str, str], tmp_path: Path) -> None:
    done = make("seen", tmp_path, **env)
    assert "ansible [core" in done.stdout, done.stdout + done.stderr


def test_make_brings_the_configuration(tmp_path: Path) -> None:
    done = make("seen", tmp_path, ANSIBLE_CONFIG="/etc/ansible/ansible.cfg")
    assert f"ANSIBLE_CONFIG={ROOT}/ansible.cfg\n" in done.stdout
    assert f"config file = {ROOT}/ansible.cfg\n" in done.stdout


@pytest.mark.parametrize("setting", ["environment", "pip.conf"])
def test_setup_installs_into_its_own_folder_whatever_pip_is_told(setting: str, tmp_path: Path) -> None:
    """With the real pip, which stops before it installs anything."""
    for name in ("tools", "files/client"):
        shutil.copytree(ROOT / name, tmp_path / name)
    for name in ("requirements.txt", "requirements-dev.txt"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / ".venv").symlink_to(ROOT / ".venv")
    (tmp_path / "pip.conf").write_text("[global]\nuser = true\n")
    settings = {
        "environment": {"PIP_USER": "1"},
        "pip.conf": {"PIP_CONFIG_FILE": str(tmp_path / "pip.conf")},
    }
    done = subprocess.run(
        [str(tmp_path / "tools/setup.sh")],
        env={**os.environ, "PIP_DRY_RUN": "1", **settings[setting]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
