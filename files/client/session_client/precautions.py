"""What has to be so before the first session is opened: nothing that is there gets lost."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from session_client import journal
from session_client.arrivals import Trace
from session_client.conclusion import RESULT_NAMES
from session_client.errors import CannotRunError
from session_client.files import require_writable, same_file
from session_client.journal import JOURNAL_NAME, Held, Matched
from session_client.printing import complain
from session_client.requests import Request


def finished(
    folder: Path, settings: dict[str, str], requests: Sequence[Request], arguments: argparse.Namespace
) -> Matched | None:
    """Return the results of this very run, and say so, if a folder holds all of them; None if none.

    Raises CannotRunError when it holds any others: a result is never overwritten unasked.
    """
    instead = f"Or give --overwrite to lose what is there, or --results another folder than {folder}"
    if not journal.begun(folder):
        there = [name for name in RESULT_NAMES if name != JOURNAL_NAME and (folder / name).is_file()]
        if there:
            raise CannotRunError(f"{folder} holds results, {', '.join(there)}: move them away. {instead}")
        return None
    held = journal.read(folder)
    if not held.lines:
        return None
    known = held.matched(requests)
    done, count = len(known.results), len(requests)
    if known.left_out or not _is_same_run(held, settings, arguments):
        raise CannotRunError(
            f"{folder} holds the results of another run, {held.done} of its sessions done: go on with that "
            f"one with --resume {folder}. {instead}"
        )
    if done < count:
        raise CannotRunError(
            f"{folder} holds an unfinished run, {done} of {count} sessions done: go on with it with "
            f"--resume {folder} in place of --results. {instead}"
        )
    if arguments.output and not arguments.output.is_file():
        raise CannotRunError(
            f"{folder} holds this run, {done} of {count} sessions done: "
            f"--resume {folder} --output {arguments.output} writes that file. {instead}"
        )
    complain(
        f"{done} of {count} done already, nothing to do: the answers are in {arguments.output or folder}"
    )
    return known


def _is_same_run(held: Held, settings: dict[str, str], arguments: argparse.Namespace) -> bool:
    """Tell whether the sessions went the same way to the same place; version 1 did not write down where."""
    address = None if held.options is None else held.options.get("--address")
    return journal.same_settings(held.settings, settings) and address in (
        None,
        arguments.options["--address"],
    )


def make_folder(folder: Path) -> None:
    """Make the results folder first, so that no measurement is lost to a missing permission."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CannotRunError(
            f"cannot make the results folder {folder}: {error.strerror}. Check --results"
        ) from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise CannotRunError(
            f"cannot write into the results folder {folder}. Check --results and its permissions"
        )


def refuse_mixed_files(arguments: argparse.Namespace, folder: Path) -> None:
    """Make sure that nothing that is written takes the place of what is read or of what is written, too."""
    read = {
        "--requests": arguments.requests,
        "--sizes-file": arguments.sizes_file,
        "--arrivals": arguments.arrivals.path if isinstance(arguments.arrivals, Trace) else None,
    }
    results = [folder / name for name in RESULT_NAMES]
    for option, path in read.items():
        if path and arguments.output and same_file(path, arguments.output):
            raise CannotRunError(f"--output {arguments.output} is the file of {option}: give it another name")
        if path and any(same_file(path, result) for result in results):
            raise CannotRunError(
                f"{option} {path} is where this run writes its results: copy it, or take another folder"
            )
    if arguments.output:
        if any(same_file(arguments.output, result) for result in results):
            raise CannotRunError(
                f"--output {arguments.output} is a file of the results themselves: give it another name"
            )
        # The results folder is made when nothing is left to refuse; an output in it need not wait for that.
        if folder.exists() or arguments.output.parent.resolve() != folder.resolve():
            _check_output(arguments.output)


def _check_output(path: Path) -> None:
    if path.is_dir():
        raise CannotRunError(f"{path} is a folder: give --output the name of a file")
    if path.is_socket():
        raise CannotRunError(f"{path} is a socket: give --output a file, a pipe or a device")
    try:
        require_writable(path)
    except FileNotFoundError:
        raise CannotRunError(
            f"the folder of {path} does not exist: make it, or give --output another path"
        ) from None
    except OSError as error:
        raise CannotRunError(f"cannot write --output {path}: {error.strerror}. Check the path") from None
