"""What containerd's list of images says, as `ctr image ls` prints it.

containerd names an image several times: by its reference, and, through its Kubernetes plug-in, by `sha256:`
and the digest of its configuration, which is the id that the kubelet and older versions of Docker show. Both
rows carry the same digest, that of the manifest; so they tell which configuration a reference stands for.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

PINNED = "io.cri-containerd.pinned=pinned"
"""Label that keeps an image from the kubelet's garbage collection."""


class Found(NamedTuple):
    """What containerd has under a reference."""

    ids: list[str]
    platforms: frozenset[str]
    pinned: bool


class Row(NamedTuple):
    """One line of the list."""

    name: str
    digest: str
    platforms: frozenset[str]
    labels: frozenset[str]


def parse_images(listing: str) -> list[Row]:
    """Return the rows of `ctr image ls`.

    Its columns are REF, TYPE, DIGEST, SIZE (a number and a unit), PLATFORMS and LABELS (`-` for none).

    Raises ValueError for a line that is not of that form.
    """
    rows = []
    for line in listing.splitlines():
        columns = line.split()
        if not columns or columns[:2] == ["REF", "TYPE"]:
            continue
        if len(columns) != 7 or not columns[2].startswith("sha256:"):
            raise ValueError(f"not a line of `ctr image ls`: {line!r}")
        name, _, digest, _, _, platforms, labels = columns
        rows.append(Row(name, digest, frozenset(platforms.split(",")), frozenset(labels.split(","))))
    return rows


def find_image(listing: str, reference: str) -> Found | None:
    """Return what containerd has under a reference, or None."""
    rows = {row.name: row for row in parse_images(listing)}
    found = rows.get(reference)
    if found is None:
        return None
    ids = [name for name, row in rows.items() if name.startswith("sha256:") and row.digest == found.digest]
    return Found(ids, found.platforms, PINNED in found.labels)


def is_unpacked(check: str, reference: str) -> bool:
    """Tell from `ctr image check` whether containers can use an image.

    containerd has the image's name before it has unpacked the layers: an import that was cut off leaves one
    that looks right in the list. The last column tells.
    """
    rows = [line.split() for line in check.splitlines()]
    return any(columns[:1] == [reference] and columns[-1] == "true" for columns in rows)


def image_problems(listing: str, reference: str, image_id: str, platform: str) -> list[str]:
    """Say, one sentence each, why what containerd has under a reference is not the image that was built."""
    found = find_image(listing, reference)
    if found is None:
        return [f"containerd has no image {reference}"]
    problems = []
    if platform not in found.platforms:
        problems.append(f"{reference} is for {', '.join(sorted(found.platforms))}, not for {platform}")
    if image_id not in found.ids:
        problems.append(f"{reference} is not the image that was built, {image_id}")
    return problems


def containerd_tags(listing: str, repository: str) -> list[str]:
    """Return the references of a repository that bear a content hash, twelve hexadecimal digits.

    Tags of another form are somebody else's.
    """
    pattern = re.compile(re.escape(repository) + ":[0-9a-f]{12}")
    return [row.name for row in parse_images(listing) if pattern.fullmatch(row.name)]


def containerd_names(listing: str, references: Sequence[str]) -> list[str]:
    """Return every name under which containerd holds the images of these references.

    These are the references that are there and the ids that no other reference stands for: as long as one
    name is left, containerd keeps the image.
    """
    rows = parse_images(listing)
    asked = [row for row in rows if row.name in references]
    others = {row.digest for row in rows if row not in asked and not row.name.startswith("sha256:")}
    digests = {row.digest for row in asked} - others
    ids = [row.name for row in rows if row.name.startswith("sha256:") and row.digest in digests]
    return [row.name for row in asked] + ids
