"""Launch configurations."""

from __future__ import annotations

from pathlib import Path

import pytest
from microk8s import launch
from microk8s.paths import Paths

FULL = """\
version: 0.1.0
addons:
  - name: dns
    args: [192.0.2.53]
  - name: rbac
    disable: true
extraSANs: [203.0.113.7, lab1.example]
extraKubeletArgs:
  --max-pods: 50
  --fail-swap-on: false
  --v: null
extraKubeProxyArgs:
  --proxy-mode: nftables
persistentClusterToken: 0123456789abcdef0123456789abcdef
"""


def test_a_full_configuration() -> None:
    configuration = launch.parse(FULL)
    assert configuration.addons == (
        launch.AddonRequest("dns", ("192.0.2.53",)),
        launch.AddonRequest("rbac", disable=True),
    )
    assert configuration.extra_names == ("203.0.113.7", "lab1.example")
    assert configuration.arguments["extraKubeletArgs"] == {
        "--max-pods": "50",
        "--fail-swap-on": "false",
        "--v": None,
    }
    assert configuration.persistent_token == "0123456789abcdef0123456789abcdef"
    assert configuration.warnings == ()


def test_the_default_enables_dns() -> None:
    assert launch.parse(launch.DEFAULT_TEXT).addons == (launch.AddonRequest("dns"),)


def test_an_empty_file_asks_for_nothing() -> None:
    assert launch.parse("") == launch.Launch()


def test_unknown_keys_are_warned_about_and_ignored() -> None:
    configuration = launch.parse("addonz: []\nextraCNIEnv: {}\n")
    assert len(configuration.warnings) == 2
    assert any("unknown key 'addonz'" in warning for warning in configuration.warnings)
    assert any("'extraCNIEnv' is not in this lab" in warning for warning in configuration.warnings)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("addons: [", "not valid YAML"),
        ("- name: dns\n", "must be a mapping"),
        ("addons: dns\n", "addons must be a list"),
        ("addons: [dns]\n", "mapping with a name"),
        ("addons: [{name: dns, args: 8.8.8.8}]\n", "args of addon dns"),
        ("extraKubeletArgs: [--v=1]\n", "extraKubeletArgs must be a mapping"),
        ("extraSANs: {a: b}\n", "extraSANs must be a list"),
    ],
)
def test_a_wrong_configuration_says_what_is_wrong(text: str, reason: str) -> None:
    with pytest.raises(launch.LaunchError, match=reason):
        launch.parse(text)


def test_arguments_go_to_their_files_once(tmp_path: Path) -> None:
    paths = Paths(tmp_path, tmp_path, tmp_path)
    paths.args.mkdir()
    (paths.args / "kubelet").write_text("--v=5\n--fail-swap-on=false\n")
    configuration = launch.parse(FULL)
    assert launch.change_arguments(paths, configuration) == {"kubelite"}
    assert (paths.args / "kubelet").read_text() == "--fail-swap-on=false\n--max-pods=50\n"
    assert (paths.args / "kube-proxy").read_text() == "--proxy-mode=nftables\n"
    assert launch.change_arguments(paths, configuration) == set()
