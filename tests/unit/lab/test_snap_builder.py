"""The builders of the snaps: keys, archives, images."""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
from pathlib import Path

import pytest
from builder import coredns, golang, kubernetes, snaps, tarball
from builder.artefact import Artefact, BuildError
from microk8s import addons


@pytest.mark.parametrize("artefact", snaps.ARTEFACTS, ids=lambda artefact: artefact.name)
def test_a_key_stays_while_nothing_changes(artefact: Artefact) -> None:
    assert artefact.key() == artefact.key()


def test_the_snaps_have_keys_of_their_own() -> None:
    assert len({artefact.key() for artefact in snaps.ARTEFACTS}) == len(snaps.ARTEFACTS)


def test_a_changed_script_makes_another_snap_of_the_same_programs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("tree", "microk8s"):
        (tmp_path / name).mkdir()
    script = tmp_path / "microk8s" / "main.py"
    script.write_text("one")
    monkeypatch.setattr(snaps, "SNAP", tmp_path)
    snap, programs = snaps.MICROK8S.key(), kubernetes.KUBERNETES.key()
    script.write_text("two")
    assert snaps.MICROK8S.key() != snap
    assert kubernetes.KUBERNETES.key() == programs


def test_versions_come_from_go_mod() -> None:
    text = "module x\n\nrequire (\n\tgithub.com/coredns/coredns v1.13.1\n\tk8s.io/kubernetes v1.35.4\n)\n"
    assert kubernetes.versions(text) == ("1.35.4", "1.13.1")
    with pytest.raises(BuildError, match="requires no Kubernetes"):
        kubernetes.versions("module x\n")


def test_status_names_the_version_of_coredns_that_is_built() -> None:
    assert addons.BY_NAME["dns"].version == kubernetes.current_versions()[1]


def test_linker_flags_carry_the_version() -> None:
    flags = kubernetes.linker_flags("1.35.4").split()
    assert "k8s.io/component-base/version.gitVersion=v1.35.4" in flags
    assert "k8s.io/component-base/version.gitMinor=35" in flags


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("go version go1.26.8 linux/amd64", (1, 26)),
        ("go version go1.19 linux/arm64", (1, 19)),
        ("", None),
    ],
)
def test_go_version(text: str, version: tuple[int, int] | None) -> None:
    assert golang.parse_version(text) == version


def test_the_module_says_which_go_it_needs() -> None:
    assert golang.required_version((kubernetes.MODULE / "go.mod").read_text()) >= (1, 25)
    with pytest.raises(BuildError, match="no line `go VERSION`"):
        golang.required_version("module x\n")


def test_an_archive_depends_on_contents_alone(tmp_path: Path) -> None:
    digests = []
    for number, umask in enumerate((0o022, 0o077)):
        folder = tmp_path / str(number)
        before = os.umask(umask)
        try:
            (folder / "bin").mkdir(parents=True)
            (folder / "bin" / "program").write_bytes(b"#!")
            (folder / "bin" / "program").chmod(0o700)
            (folder / "readme").write_text("text")
        finally:
            os.umask(before)
        os.utime(folder / "readme", (number, number))
        tarball.write(folder, tmp_path / f"{number}.tar")
        digests.append(hashlib.sha256((tmp_path / f"{number}.tar").read_bytes()).hexdigest())
    assert digests[0] == digests[1]
    tarball.read(tmp_path / "0.tar", tmp_path / "out")
    assert (tmp_path / "out" / "bin" / "program").stat().st_mode & 0o777 == 0o755


def test_an_image_holds_its_program_and_describes_it(tmp_path: Path) -> None:
    program = tmp_path / "pause"
    program.write_bytes(b"program")
    archive = tmp_path / "pause.tar"
    coredns.write_image(
        program, archive, tag="session-lab.local/pause:1.0", config={"User": "65535:65535"}, workdir=tmp_path
    )
    with tarfile.open(archive) as image:

        def read(name: str) -> bytes:
            member = image.extractfile(name)
            assert member is not None
            return member.read()

        (manifest,) = json.loads(read("manifest.json"))
        config = json.loads(read(manifest["Config"]))
        layer = read(manifest["Layers"][0])
    assert manifest["RepoTags"] == ["session-lab.local/pause:1.0"]
    assert config["config"] == {"Entrypoint": ["/pause"], "User": "65535:65535"}
    assert config["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(layer).hexdigest()}"]
    (tmp_path / "layer.tar").write_bytes(layer)
    with tarfile.open(tmp_path / "layer.tar") as contents:
        assert contents.getmember("pause").mode == 0o755


def test_a_placeholder_must_be_there(tmp_path: Path) -> None:
    path = tmp_path / "snap.yaml"
    path.write_text("version: v@VERSION@\n")
    snaps.replace(path, "@VERSION@", "1.35.4")
    assert path.read_text() == "version: v1.35.4\n"
    with pytest.raises(ValueError, match="@VERSION@"):
        snaps.replace(path, "@VERSION@", "1.35.4")
