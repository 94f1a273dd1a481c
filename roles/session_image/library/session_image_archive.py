#!/usr/bin/python
"""Ansible module: a compressed image archive in the controller's cache, whole or absent."""

from __future__ import annotations

import gzip
import hashlib
import json
import tarfile
import zlib
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = """
module: session_image_archive
short_description: Look at an image archive in the cache, or put one there
description:
  - An archive is the gzip-compressed output of C(docker save) for one image. A record beside it, C(.json),
    says what is in it and what its checksum is. An archive counts as whole when it agrees with its record.
  - With I(src) the new archive is read to its end, which proves it whole, moved to its place, and recorded.
options:
  path:
    description: The archive's place in the cache.
    type: path
    required: true
  reference:
    description: The reference, NAME:TAG, that the image must have.
    type: str
    required: true
  src:
    description: A new archive, on the same file system, to be moved to I(path).
    type: path
"""

EXAMPLES = """
- session_image_archive:
    path: /var/cache/images/singlethread-0123456789ab-amd64.tar.gz
    reference: singlethread:0123456789ab
"""

RETURN = """
whole:
  description: Whether a whole archive of that reference is at I(path).
  type: bool
image:
  description: >-
    What is in it - reference, id (digest of the image's configuration), platform, layers (digests of the
    uncompressed layers, lowest first), and sha256 and size (bytes) of the archive. Null when it is not whole.
  type: dict
"""

LARGEST_METADATA = 1 << 20
"""Bytes up to which a member of the archive can be a manifest or a configuration; layers are skipped over."""


class ArchiveError(Exception):
    """The archive is not a whole one of the image that is wanted."""


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def read_archive(path: Path, reference: str) -> dict[str, Any]:
    """Read an archive to its end and return what is in it.

    The members are those of `docker save`: manifest.json names each image's configuration and tags. The id is
    the digest of the configuration, whatever the engine's version shows as its id.

    Raises ArchiveError when it is truncated, damaged, or does not hold the reference.
    """
    metadata: dict[str, bytes] = {}
    try:
        with gzip.open(path) as stream:
            with tarfile.open(fileobj=stream, mode="r|") as archive:
                for member in archive:
                    if member.isfile() and member.size <= LARGEST_METADATA:
                        content = archive.extractfile(member)
                        metadata[member.name] = content.read() if content else b""
            while stream.read(1 << 20):  # to the end, where gzip's checksum stands
                pass
        images = json.loads(metadata["manifest.json"])
        (config,) = (metadata[image["Config"]] for image in images if reference in (image["RepoTags"] or []))
        described = json.loads(config)
        return {
            "reference": reference,
            "id": "sha256:" + hashlib.sha256(config).hexdigest(),
            "platform": f"{described['os']}/{described['architecture']}",
            "layers": described["rootfs"]["diff_ids"],
            "sha256": file_digest(path),
            "size": path.stat().st_size,
        }
    except (EOFError, OSError, zlib.error, tarfile.TarError, KeyError, TypeError, ValueError) as error:
        problem = f"{path} is not a whole archive of {reference}: {type(error).__name__}: {error}"
        raise ArchiveError(problem) from error


def record_of(path: Path) -> Path:
    """Return where the record of an archive lies."""
    return path.with_name(path.name + ".json")


def look_up(path: Path, reference: str) -> dict[str, Any] | None:
    """Return the record of the archive at a path, or None unless both are there and agree."""
    try:
        image: dict[str, Any] = json.loads(record_of(path).read_text(encoding="utf-8"))
        # The size first: it spares reading an archive that cannot be right.
        if image["reference"] == reference and image["size"] == path.stat().st_size:
            return image if image["sha256"] == file_digest(path) else None
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return None


def store(src: Path, path: Path, reference: str) -> dict[str, Any]:
    """Move a new archive to its place and record it; returns the record.

    The record comes last: an archive without one, or with an older one, does not count.

    Raises ArchiveError when it is not whole, OSError when it cannot be moved.
    """
    image = read_archive(src, reference)
    src.replace(path)
    partial = record_of(path).with_suffix(".partial")
    partial.write_text(json.dumps(image, indent=2) + "\n", encoding="utf-8")
    partial.replace(record_of(path))
    return image


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "reference": {"type": "str", "required": True},
            "src": {"type": "path"},
        },
        supports_check_mode=True,
    )
    path, reference, src = Path(module.params["path"]), module.params["reference"], module.params["src"]
    if src is None:
        image = look_up(path, reference)
        module.exit_json(changed=False, whole=image is not None, image=image)
    try:
        image = read_archive(Path(src), reference) if module.check_mode else store(Path(src), path, reference)
    except (ArchiveError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=True, whole=True, image=image)


if __name__ == "__main__":
    main()
