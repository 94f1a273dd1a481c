"""What is fetched from a host, when a login script prints into it."""

from __future__ import annotations

import gzip
from pathlib import Path
from types import SimpleNamespace

import pytest
from ansible.errors import AnsibleError

from roles.session_image.plugin_utils.session_image_carrier import Carrier


class Action(Carrier):
    """An action that does nothing by itself."""

    def run(self, *_: object) -> dict[str, object]:
        return {}


def carrier(prints: bytes) -> Carrier:
    """An action on a host that prints before each file that it sends."""

    def fetch_file(path: str, dest: str) -> None:
        Path(dest).write_bytes(prints + Path(path).read_bytes())

    return Action(SimpleNamespace(), SimpleNamespace(fetch_file=fetch_file), None, None, None)


def test_what_a_login_script_prints_is_no_image(tmp_path: Path) -> None:
    (tmp_path / "there.gz").write_bytes(gzip.compress(b"an image"))
    carrier(b"").fetch(str(tmp_path / "there.gz"), tmp_path / "here.gz")
    assert gzip.decompress((tmp_path / "here.gz").read_bytes()) == b"an image"
    with pytest.raises(AnsibleError, match="begins with b'Welcome"):
        carrier(b"Welcome\n").fetch(str(tmp_path / "there.gz"), tmp_path / "here.gz")
