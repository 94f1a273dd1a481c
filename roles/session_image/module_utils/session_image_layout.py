"""An image as an OCI image layout: whole in a folder, or in an archive without layers that are there.

See https://github.com/opencontainers/image-spec/blob/main/image-layout.md: blobs named by their digest, and
index.json, which lists the images. Tar archives of it are what `ctr image import` reads; it takes
layers that are not in the archive from containerd's own store.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import shutil
import tarfile
import zlib
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

BLOBS = "blobs/sha256"
VERSION_FILE = "oci-layout"
VERSION = b'{"imageLayoutVersion": "1.0.0"}\n'
NAME = "io.containerd.image.name"
"""Annotation of an image in the index: its full name in containerd."""

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"
COMPRESSIONS = {b"\x1f\x8b": "+gzip", b"\x28\xb5": "+zstd"}
"""How a layer that is compressed begins, and what that adds to its type."""

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
"""What a machine calls its architecture, and what images call it; the other names are the same."""

Json = dict[str, Any]


class LayoutError(Exception):
    """An archive or a layout is not whole, or not of the image that is wanted."""


def architecture(machine: str) -> str:
    """Return what images call a machine's architecture (`uname -m`)."""
    return ARCHITECTURES.get(machine, machine)


def full_name(reference: str) -> str:
    """Return the name under which containerd files an image; one of ours names no registry, a pod's may."""
    return reference if "/" in reference else f"docker.io/library/{reference}"


def stands_on(layers: Sequence[str], base_layers: Sequence[str]) -> bool:
    """Tell whether an image's layers, lowest first, begin with those of its base.

    Both are digests of uncompressed layers, as `docker image inspect` and an image's configuration list them.
    A base that is not known, without layers, contradicts nothing.
    """
    return list(layers[: len(base_layers)]) == list(base_layers)


def digest_of(content: bytes) -> str:
    """Return the digest of some bytes, as `sha256:` and 64 hexadecimal digits."""
    return "sha256:" + hashlib.sha256(content).hexdigest()


def _copy(source: BinaryIO, target: BinaryIO | None = None) -> str:
    """Copy a stream, or only read it; returns the digest of what went through."""
    digest = hashlib.sha256()
    while chunk := source.read(1 << 20):
        digest.update(chunk)
        if target:
            target.write(chunk)
    return "sha256:" + digest.hexdigest()


def _extract(archive: tarfile.TarFile, name: str) -> BinaryIO:
    stream = archive.extractfile(name)  # follows the links by which engines save a layer that comes twice
    if stream is None:
        raise LayoutError(f"{name} in the archive is not a file")
    return stream  # type: ignore[return-value]


def _add(archive: tarfile.TarFile, name: str, size: int, source: BinaryIO) -> None:
    member = tarfile.TarInfo(name)
    member.size = size
    archive.addfile(member, source)


def write_saved(saved: Path, reference: str, dest: Path, have: Collection[str] = ()) -> Json:
    """Turn the output of `docker save` for one image into the archive of a layout; returns the image.

    Blobs whose digests are in `have` are left out.

    Raises LayoutError when it does not hold the reference, OSError when the disk fails.
    """
    try:
        with tarfile.open(saved) as source, tarfile.open(dest, "w:gz", compresslevel=1) as target:
            images = json.load(_extract(source, "manifest.json"))
            (image,) = (image for image in images if reference in (image["RepoTags"] or []))
            config = _extract(source, image["Config"]).read()
            described = json.loads(config)
            layers: list[Json] = []
            for name, diff_id in zip(image["Layers"], described["rootfs"]["diff_ids"], strict=True):
                stream = _extract(source, name)
                size = stream.seek(0, io.SEEK_END)
                stream.seek(0)
                compression = COMPRESSIONS.get(stream.read(2), "")
                stream.seek(0)
                # Older engines save layers as they are, newer ones as blobs, which may be compressed.
                digest = "sha256:" + name.rpartition("/")[2] if name.startswith(BLOBS) else diff_id
                layers.append({"mediaType": LAYER_TYPE + compression, "digest": digest, "size": size})
                if digest not in have and digest not in [layer["digest"] for layer in layers[:-1]]:
                    _add(target, f"{BLOBS}/{digest.removeprefix('sha256:')}", size, stream)
            manifest: Json = {
                "schemaVersion": 2,
                "mediaType": MANIFEST_TYPE,
                "config": {"mediaType": CONFIG_TYPE, "digest": digest_of(config), "size": len(config)},
                "layers": layers,
            }
            content = json.dumps(manifest).encode()
            entry = {
                "mediaType": MANIFEST_TYPE,
                "digest": digest_of(content),
                "size": len(content),
                "platform": {key: described[key] for key in ("os", "architecture")},
                "annotations": {NAME: full_name(reference)},
            }
            for blob in (config, content):
                _add(target, f"{BLOBS}/{digest_of(blob)[7:]}", len(blob), io.BytesIO(blob))
            _finish(target, entry)
    except (tarfile.TarError, KeyError, TypeError, ValueError) as error:
        problem = f"{saved} is not a whole archive of {reference}: {type(error).__name__}: {error}"
        raise LayoutError(problem) from error
    return _image(entry, manifest, described)


def _finish(archive: tarfile.TarFile, entry: Json) -> None:
    index = json.dumps({"schemaVersion": 2, "manifests": [entry]}).encode()
    for name, content in ((VERSION_FILE, VERSION), ("index.json", index)):
        _add(archive, name, len(content), io.BytesIO(content))


def _image(entry: Json, manifest: Json, config: Json) -> Json:
    """Describe an image: digests of its configuration (id), uncompressed layers and blobs; its platform."""
    return {
        "id": manifest["config"]["digest"],
        "platform": f"{config['os']}/{config['architecture']}",
        "layers": config["rootfs"]["diff_ids"],
        "blobs": [part["digest"] for part in (entry, manifest["config"], *manifest["layers"])],
    }


class Layout:
    """A folder with images in it, which counts only what is whole."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._whole: set[str] = set()

    def images(self, reference: str) -> dict[str, Json]:
        """Return the whole images of a reference by architecture."""
        return {image["platform"].partition("/")[2]: image for _, image in self._find(reference)}

    def blobs(self) -> list[str]:
        """Return the digests of all whole blobs."""
        names = [f"sha256:{path.name}" for path in (self._folder / BLOBS).glob("*")]
        return sorted(digest for digest in names if self._is_whole(digest))

    def take(self, archive: Path, reference: str) -> Json:
        """Take in the image of an archive, in the place of those with the same name, and return it.

        The index is written last: an image that was not taken in to its end does not count.

        Raises LayoutError when it is not whole, OSError when the disk fails.
        """
        blobs = self._folder / BLOBS
        blobs.mkdir(parents=True, exist_ok=True)
        index: Json = {}
        partial = self._folder / "partial"
        try:
            with gzip.open(archive) as stream, tarfile.open(fileobj=stream, mode="r|") as source:
                for member in source:
                    content = source.extractfile(member)
                    if content is None:
                        continue
                    if member.name == "index.json":
                        index = json.load(content)
                    elif member.name.startswith(f"{BLOBS}/"):
                        digest = "sha256:" + member.name.rpartition("/")[2]
                        with partial.open("wb") as target:
                            found = _copy(content, target)  # type: ignore[arg-type]
                        if found != digest:
                            raise LayoutError(f"{archive}: {digest} arrived as {found}")
                        partial.replace(blobs / digest[7:])
            (entry,) = index["manifests"]
            if entry["annotations"][NAME] != full_name(reference):
                raise LayoutError(f"{archive} holds another image than {reference}")
            image = self._read(entry)
        except (EOFError, zlib.error, tarfile.TarError, gzip.BadGzipFile, KeyError, ValueError) as error:
            raise LayoutError(f"{archive} is not a whole archive of {reference}: {error!r}") from error
        if image is None:
            raise LayoutError(f"{archive} lacks a part of {reference} that is not on the controller either")
        kept = [other for other in self._entries() if _repository(other) != _repository(entry)]
        self._write([*kept, entry])
        return image

    def remove(self, name: str, *, dry_run: bool = False) -> bool:
        """Remove the images of a name without tag, unless it is a dry run; tells whether there were any."""
        entries = self._entries()
        kept = [entry for entry in entries if _repository(entry) != full_name(name)]
        if kept != entries and not dry_run:
            if kept:
                self._write(kept)
            else:  # nothing is left behind with the last one
                for name in ("index.json", VERSION_FILE):
                    (self._folder / name).unlink(missing_ok=True)
                shutil.rmtree(self._folder / "blobs", ignore_errors=True)
        return kept != entries

    def pack(self, reference: str, arch: str, dest: Path, have: Collection[str]) -> Json:
        """Write the archive of an image without the layers in `have`, and return the image.

        Raises LayoutError when the image is not here, OSError when the disk fails.
        """
        for entry, image in self._find(reference):
            if image["platform"].partition("/")[2] == arch:
                with tarfile.open(dest, "w:gz", compresslevel=1) as archive:
                    for digest in dict.fromkeys(image["blobs"]):
                        # containerd reads manifest and configuration from the archive.
                        if digest not in have or digest in image["blobs"][:2]:
                            path = self._folder / BLOBS / digest[7:]
                            with path.open("rb") as stream:
                                _add(archive, f"{BLOBS}/{path.name}", path.stat().st_size, stream)
                    _finish(archive, entry)
                return image
        raise LayoutError(
            f"the controller has no whole {reference} for {arch}: "
            "no image builder of that architecture has made one"
        )

    def _find(self, reference: str) -> Iterator[tuple[Json, Json]]:
        for entry in self._entries():
            if entry["annotations"][NAME] == full_name(reference):
                image = self._read(entry)
                if image:
                    yield entry, image

    def _entries(self) -> list[Json]:
        try:
            entries: list[Json] = json.loads((self._folder / "index.json").read_bytes())["manifests"]
        except (OSError, ValueError, KeyError):
            return []
        return entries

    def _write(self, entries: list[Json]) -> None:
        """Write the index, and remove every blob that it does not need."""
        partial = self._folder / "partial"
        partial.write_bytes(VERSION)
        partial.replace(self._folder / VERSION_FILE)
        partial.write_text(json.dumps({"schemaVersion": 2, "manifests": entries}) + "\n", encoding="utf-8")
        partial.replace(self._folder / "index.json")
        needed = {blob for entry in entries for blob in (self._read(entry) or {"blobs": []})["blobs"]}
        for path in (self._folder / BLOBS).glob("*"):
            if f"sha256:{path.name}" not in needed:
                path.unlink()

    def _read(self, entry: Json) -> Json | None:
        """Return an image of the index, or None when a part of it is missing or damaged."""
        try:
            if not self._is_whole(entry["digest"]):
                return None
            manifest = json.loads((self._folder / BLOBS / entry["digest"][7:]).read_bytes())
            if not all(self._is_whole(part["digest"]) for part in (manifest["config"], *manifest["layers"])):
                return None
            config = json.loads((self._folder / BLOBS / manifest["config"]["digest"][7:]).read_bytes())
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return _image(entry, manifest, config)

    def _is_whole(self, digest: str) -> bool:
        if digest not in self._whole:
            try:
                with (self._folder / BLOBS / digest[7:]).open("rb") as stream:
                    if _copy(stream) == digest:
                        self._whole.add(digest)
            except OSError:
                return False
        return digest in self._whole


def _repository(entry: Json) -> str:
    return str(entry["annotations"][NAME]).rpartition(":")[0]
