"""What is read from `ctr image ls`, fed with the output of containerd 1.6."""

from __future__ import annotations

import pytest

from roles.session_image.module_utils.session_image_containerd import (
    Found,
    containerd_names,
    containerd_tags,
    find_image,
    image_problems,
    is_unpacked,
)

REPOSITORY = "docker.io/library/singlethread"
NEW, OLD = f"{REPOSITORY}:20925088c517", f"{REPOSITORY}:527cb3490f5a"
NEW_ID, OLD_ID = "sha256:" + "c8" * 32, "sha256:" + "b8" * 32
PINNED = "io.cri-containerd.image=managed,io.cri-containerd.pinned=pinned"
MANAGED = "io.cri-containerd.image=managed"
HEADER = "REF TYPE DIGEST SIZE PLATFORMS LABELS "
TYPE = "application/vnd.docker.distribution.manifest.v2+json"


def row(name: str, digit: str, labels: str = MANAGED, platforms: str = "linux/amd64") -> str:
    return f"{name}   {TYPE} sha256:{digit * 64} 161.8 MiB {platforms} {labels}   "


LISTING = "\n".join(
    [
        HEADER,
        row(NEW, "1", PINNED),
        row(OLD, "2"),
        row(f"{REPOSITORY}:1.0", "3", "-"),
        row(f"{REPOSITORY}-dev:0123456789ab", "4"),
        row("registry.example/singlethread:0123456789ab", "5"),
        row("registry.k8s.io/pause:3.10", "6", PINNED, "linux/amd64,linux/arm64"),
        row(OLD_ID, "2"),
        row(NEW_ID, "1"),
    ]
)


@pytest.mark.parametrize(("reference", "image_id", "pinned"), [(NEW, NEW_ID, True), (OLD, OLD_ID, False)])
def test_the_image_that_was_built_has_no_problem(reference: str, image_id: str, pinned: bool) -> None:
    assert image_problems(LISTING, reference, image_id, "linux/amd64") == []
    assert find_image(LISTING, reference) == Found([image_id], frozenset({"linux/amd64"}), pinned)


@pytest.mark.parametrize(
    ("listing", "reference", "image_id", "platform", "problem"),
    [
        ("", NEW, NEW_ID, "linux/amd64", "containerd has no image"),
        (HEADER, NEW, NEW_ID, "linux/amd64", "containerd has no image"),
        (LISTING, NEW[:-1], NEW_ID, "linux/amd64", "containerd has no image"),
        (LISTING, NEW, OLD_ID, "linux/amd64", "is not the image that was built"),
        (LISTING, NEW, "sha256:" + "0" * 64, "linux/amd64", "is not the image that was built"),
        (LISTING, NEW, NEW_ID, "linux/arm64", "is for linux/amd64, not for linux/arm64"),
    ],
    ids=["nothing", "only the header", "another tag", "another id", "id not there", "another platform"],
)
def test_a_difference_is_told(
    listing: str, reference: str, image_id: str, platform: str, problem: str
) -> None:
    problems = image_problems(listing, reference, image_id, platform)
    assert len(problems) == 1
    assert problem in problems[0]


def test_a_listing_of_another_form_is_refused() -> None:
    with pytest.raises(ValueError, match="not a line of `ctr image ls`"):
        find_image("microk8s is not running, try microk8s start", NEW)


def test_only_content_hash_tags_of_the_very_repository_are_ours() -> None:
    assert containerd_tags(LISTING, REPOSITORY) == [NEW, OLD]
    assert containerd_tags("", REPOSITORY) == []


def test_an_image_goes_with_its_id() -> None:
    assert containerd_names(LISTING, [OLD]) == [OLD, OLD_ID]
    assert containerd_names(LISTING, [OLD, NEW]) == [NEW, OLD, OLD_ID, NEW_ID]
    assert containerd_names(LISTING, ["docker.io/library/absent:1"]) == []


def test_an_id_that_another_name_needs_stays() -> None:
    listing = "\n".join([LISTING, row("docker.io/library/copy:1", "2")])
    assert containerd_names(listing, [OLD]) == [OLD]


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("complete (3/3)   161.8 MiB/161.8 MiB true", True),
        ("incomplete (2/3) 17.0 KiB/161.8 MiB false", False),
        ("complete (3/3)   161.8 MiB/161.8 MiB false", False),
    ],
)
def test_an_import_that_was_cut_off_has_a_name_and_no_layers(status: str, expected: bool) -> None:
    header = "REF TYPE DIGEST STATUS SIZE UNPACKED "
    check = "\n".join([header, f"{NEW} {TYPE} sha256:{'1' * 64} {status} "])
    assert is_unpacked(check, NEW) is expected
    assert not is_unpacked(check, OLD)
    assert not is_unpacked("", NEW)
