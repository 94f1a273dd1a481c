"""The image that every pod begins with, as containerd's configuration names it."""

from __future__ import annotations

import pytest

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
