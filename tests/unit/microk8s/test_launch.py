"""What has to happen for a launch configuration to be in force."""

from __future__ import annotations

import pytest
import yaml
from ansible.errors import AnsibleFilterError

from roles.microk8s.filter_plugins import microk8s

WANTED = """\
version: 0.1.0
extraSANs: [192.0.2.10]
extraKubeletArgs: {--max-pods: "90"}
"""
OTHER = "version: 0.1.0\nextraSANs: [192.0.2.99]\n"


@pytest.mark.parametrize(
    "files",
    [
        {"install.yaml.applied": WANTED},
        {"install.yaml": WANTED},
        {"install.yaml.applied": OTHER, "snap-set.yaml.applied": WANTED},
        {"install.yaml.applied": OTHER, "snap-set.yaml": WANTED, "snap-set.yaml.applied": OTHER},
        {"install.yaml.applied": f"# a comment\n{WANTED}extraKubeProxyArgs: {{--v: null}}\n"},
    ],
    ids=["applied", "pending", "set later", "set later, pending", "but for comments and nulls"],
)
def test_nothing_happens_when_it_is_in_force_or_on_its_way(files: dict[str, str]) -> None:
    assert microk8s.launch_step(WANTED, files)["action"] == "none"


@pytest.mark.parametrize("pending", [OTHER, "version: 0.1.0\naddons: [{name: nonsense}]\n", "{not yaml"])
def test_one_that_is_tried_in_vain_since_the_installation_is_replaced(pending: str) -> None:
    step = microk8s.launch_step(WANTED, {"install.yaml": pending})
    assert step == {"action": "rewrite", "config": yaml.safe_load(WANTED)}


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"install.yaml.applied": OTHER},
        {"install.yaml.applied": WANTED, "snap-set.yaml.applied": OTHER},
        {"install.yaml.applied": WANTED, "snap-set.yaml": OTHER},
    ],
    ids=["none ever", "another", "another since", "another pending"],
)
def test_another_one_is_set(files: dict[str, str]) -> None:
    assert microk8s.launch_step(WANTED, files) == {"action": "set", "config": yaml.safe_load(WANTED)}


def test_an_argument_wanted_no_more_is_removed_by_a_null() -> None:
    applied = """\
version: 0.1.0
extraSANs: [192.0.2.10]
extraKubeletArgs: {--max-pods: "90", --v: "2"}
extraContainerdEnv: {HTTPS_PROXY: http://192.0.2.1:3128}
"""
    step = microk8s.launch_step(WANTED, {"install.yaml.applied": applied})
    assert step["action"] == "set"
    assert step["config"]["extraKubeletArgs"] == {"--max-pods": "90", "--v": None}
    assert step["config"]["extraContainerdEnv"] == {"HTTPS_PROXY": None}


def test_setting_is_done_once() -> None:
    applied = "version: 0.1.0\nextraSANs: [192.0.2.10]\nextraKubeletArgs: {--v: '2'}\n"
    first = microk8s.launch_step(WANTED, {"install.yaml.applied": applied})
    now = {"install.yaml.applied": applied, "snap-set.yaml.applied": yaml.safe_dump(first["config"])}
    assert microk8s.launch_step(WANTED, now)["action"] == "none"


@pytest.mark.parametrize("text", ["{not yaml", "- a list\n"])
def test_a_configuration_that_is_none_is_refused_by_name(text: str) -> None:
    with pytest.raises(AnsibleFilterError, match="microk8s_launch"):
        microk8s.launch_step(text, {})
