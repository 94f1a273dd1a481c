"""The cache: whole files or none, built once, whatever happens to the builder."""

from __future__ import annotations

import fcntl
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from builder import cache as cache_module
from builder.artefact import Artefact, BuildError, Job
from builder.cache import Cache

LAB = Path(__file__).parents[3] / "lab"


class Recipe:
    """Makes artefacts and counts how often each was built."""

    def __init__(self) -> None:
        self.built: list[str] = []

    def artefact(
        self,
        content: str = "content",
        *,
        name: str = "thing",
        needs: tuple[Artefact, ...] = (),
        build: Callable[[Job], None] | None = None,
        tools: dict[str, str] | None = None,
        disk_mib: int = 0,
    ) -> Artefact:
        def write(job: Job) -> None:
            self.built.append(name)
            job.out.write_text(content + "".join(job.need(need).read_text() for need in needs))

        return Artefact(
            name=name,
            suffix=".txt",
            inputs=lambda: {"content": content},
            build=build or write,
            needs=needs,
            tools=tools or {},
            disk_mib=disk_mib,
        )


@pytest.fixture
def recipe() -> Recipe:
    return Recipe()


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


def obtain(cache: Cache, artefact: Artefact, *, force: bool = False) -> Path:
    return cache.obtain(artefact, started=time.monotonic(), force=force)


def test_builds_once(cache: Cache, recipe: Recipe) -> None:
    thing = recipe.artefact()
    assert not cache.has(thing)
    assert obtain(cache, thing).read_text() == "content"
    assert cache.has(thing)
    assert obtain(cache, thing) == cache.path(thing)
    assert recipe.built == ["thing"]


def test_force_builds_again(cache: Cache, recipe: Recipe) -> None:
    obtain(cache, recipe.artefact())
    obtain(cache, recipe.artefact(), force=True)
    assert recipe.built == ["thing", "thing"]


def test_builds_what_it_needs_first(cache: Cache, recipe: Recipe) -> None:
    need = recipe.artefact("need", name="need")
    thing = recipe.artefact("thing+", needs=(need,))
    assert obtain(cache, thing).read_text() == "thing+need"
    assert recipe.built == ["need", "thing"]


def test_a_cached_artefact_needs_nothing(cache: Cache, recipe: Recipe) -> None:
    need = recipe.artefact("need", name="need")
    thing = recipe.artefact(needs=(need,))
    obtain(cache, thing)
    cache.path(need).unlink()
    obtain(cache, thing)
    assert recipe.built == ["need", "thing"]


def test_an_undeclared_need_is_refused(cache: Cache, recipe: Recipe) -> None:
    other = recipe.artefact(name="other")

    def use(job: Job) -> None:
        job.need(other)

    with pytest.raises(BuildError, match="thing uses other without naming it"):
        obtain(cache, recipe.artefact(build=use))


def test_a_failed_build_leaves_nothing(cache: Cache, recipe: Recipe) -> None:
    def half(job: Job) -> None:
        job.out.write_text("half")
        raise BuildError("broken")

    thing = recipe.artefact(build=half)
    with pytest.raises(BuildError, match="broken"):
        obtain(cache, thing)
    assert not cache.has(thing)
    assert not list((cache.root / "work").iterdir())


def test_a_build_that_writes_nothing_is_an_error(cache: Cache, recipe: Recipe) -> None:
    with pytest.raises(BuildError, match=r"without writing thing\.txt"):
        obtain(cache, recipe.artefact(build=lambda _: None))


def test_work_of_a_killed_builder_is_cleaned(cache: Cache, recipe: Recipe) -> None:
    left = cache.root / "work" / "thing" / "left"
    left.parent.mkdir(parents=True)
    left.write_text("stale")
    obtain(cache, recipe.artefact())
    assert not left.exists()


def test_work_with_a_mount_in_it_is_never_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "work" / "dev").mkdir(parents=True)
    mounts = tmp_path / "mounts"
    mounts.write_text(f"devtmpfs {tmp_path}/work/dev devtmpfs rw 0 0\nproc /proc proc rw 0 0\n")
    monkeypatch.setattr(cache_module, "MOUNTS", mounts)
    with pytest.raises(BuildError, match=f"umount {tmp_path}/work/dev"):
        cache_module.remove_tree(tmp_path / "work")
    assert (tmp_path / "work" / "dev").is_dir()


def test_two_builders_at_once_build_once(cache: Cache, recipe: Recipe) -> None:
    both_want_it = threading.Barrier(2)

    def slow(job: Job) -> None:
        recipe.built.append("thing")
        time.sleep(0.2)
        job.out.write_text("whole")

    thing = recipe.artefact(build=slow)
    seen: list[str] = []

    def builder() -> None:
        both_want_it.wait()
        seen.append(obtain(cache, thing).read_text())

    threads = [threading.Thread(target=builder) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == ["whole", "whole"]
    assert recipe.built == ["thing"]


def test_the_lock_of_a_killed_builder_is_free(cache: Cache, recipe: Recipe) -> None:
    lock = cache.root / "locks" / "thing"
    lock.parent.mkdir(parents=True)
    hold = "import fcntl, sys, time; f = open(sys.argv[1], 'w'); fcntl.flock(f, 2); print(flush=True); "
    hold += "time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", hold, lock], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with lock.open("w") as handle, pytest.raises(BlockingIOError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        holder.kill()
    assert obtain(cache, recipe.artefact()).is_file()


def test_keeps_the_current_artefact_and_the_one_before(cache: Cache, recipe: Recipe) -> None:
    paths = []
    for version in ("1", "2", "3"):
        paths.append(obtain(cache, recipe.artefact(version)))
        time.sleep(0.02)
    neighbour = obtain(cache, recipe.artefact(name="thing-else"))
    assert [path.exists() for path in paths] == [False, True, True]
    assert neighbour.exists()


def test_a_missing_tool_names_its_package(cache: Cache, recipe: Recipe) -> None:
    thing = recipe.artefact(tools={"no-such-tool": "its-package"})
    with pytest.raises(BuildError, match=r"needs no-such-tool(?s:.*)apt-get install its-package"):
        obtain(cache, thing)
    assert recipe.built == []


def test_too_little_disk_says_how_much(cache: Cache, recipe: Recipe) -> None:
    with pytest.raises(BuildError, match=r"takes 999999999 MiB of disk(?s:.*)XDG_CACHE_HOME"):
        obtain(cache, recipe.artefact(disk_mib=999_999_999))


def test_a_failed_command_shows_its_end_and_its_log(cache: Cache, recipe: Recipe) -> None:
    def run(job: Job) -> None:
        job.run(["sh", "-c", "echo reason; exit 3"], what="compiling")

    with pytest.raises(BuildError, match=r"compiling failed with status 3(?s:.*)reason") as caught:
        obtain(cache, recipe.artefact(build=run))
    log = cache.root / "logs" / "thing.log"
    assert str(log) in str(caught.value)
    assert "reason" in log.read_text()


def test_a_missing_command_is_a_build_error(cache: Cache, recipe: Recipe) -> None:
    with pytest.raises(BuildError, match="cannot run no-such-command"):
        obtain(cache, recipe.artefact(build=lambda job: print(job.run(["no-such-command"]))))


def test_commands_get_added_environment_and_return_output(cache: Cache, recipe: Recipe) -> None:
    def run(job: Job) -> None:
        job.out.write_text(
            job.run(["sh", "-c", 'echo "$ADDED $HOME"'], env={"ADDED": "yes"}, cwd=job.workdir)
        )

    text = obtain(cache, recipe.artefact(build=run)).read_text()
    assert text.startswith("yes ")
    assert text.strip() != "yes"


def test_stores_outlive_builds(cache: Cache, recipe: Recipe) -> None:
    def count(job: Job) -> None:
        marker = job.store("go") / "marker"
        job.out.write_text("found" if marker.exists() else "empty")
        marker.touch()

    thing = recipe.artefact(build=count)
    assert obtain(cache, thing).read_text() == "empty"
    assert obtain(cache, thing, force=True).read_text() == "found"


def test_the_default_cache_follows_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert Cache.default().root == tmp_path / "k8s-session-balancing"
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Cache.default().root == tmp_path / ".cache" / "k8s-session-balancing"


def command(*arguments: str, cache_home: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, LAB / "build.py", *arguments],
        env={"XDG_CACHE_HOME": str(cache_home), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_list_tells_what_is_built(tmp_path: Path) -> None:
    listed = command("--list", cache_home=tmp_path)
    assert listed.returncode == 0, listed.stderr
    assert "host-image" in listed.stdout
    assert "microk8s-snap" in listed.stdout
    assert "not built" in listed.stdout
    assert not list(tmp_path.iterdir())


def test_an_unknown_name_lists_the_known_ones(tmp_path: Path) -> None:
    refused = command("no-such-thing", cache_home=tmp_path)
    assert refused.returncode == 2
    assert "unknown artefact no-such-thing" in refused.stderr
    assert "host-image" in refused.stderr
