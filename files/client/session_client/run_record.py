"""run.json: what was measured where, one entry for each measurement of a run."""

import functools
import json
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from session_client.errors import CannotRunError
from session_client.files import write_whole
from session_client.results import CSV_NAME, SessionResult

JSON_NAME = "run.json"

SCHEMA_VERSION = 1

SCHEMA = Path(__file__).with_name("run-schema.json")

MOST_NESTED = 50
"""Objects and lists within each other: more is nothing that a page could show."""

QUEUE = "queue"
"""The dispatch whose log tells of its sessions: files/dispatcher/."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """What all measurements of a run have in common; the sizes in any order."""

    time_scale: Decimal
    replicas: int
    sizes: Sequence[Decimal]


@dataclass(frozen=True, slots=True)
class Measurement:
    """One measurement: its folder in the run's, how sessions met pods, and its figures by name.

    The seed is that of its request order, None when the sizes were sent as given. The clocks are those of
    the logs that were read, None when none was: what was recorded of them stays.
    """

    folder: str
    dispatch: str
    order: str
    address: str
    seed: int | None
    summary: Mapping[str, Any]
    clocks: Sequence[Mapping[str, Any]] | None = None


def record(
    path: Path, conditions: Conditions, environment: Mapping[str, Any], measurement: Measurement
) -> None:
    """Add the measurement to run.json, in place of an earlier one in the same folder; make the file at first.

    Raises CannotRunError when the file is no run.json of this version or holds other conditions, OSError
    when it cannot be written.
    """
    common = {
        "schema_version": SCHEMA_VERSION,
        "time_scale": _number(conditions.time_scale),
        "replicas": conditions.replicas,
    }
    sizes = [_number(size) for size in conditions.sizes]
    new: dict[str, Any] = {"seed": None, **common, "sizes": sizes, "environment": {}, "measurements": []}
    run = read_run(path) if path.exists() else new
    for key, value in common.items():
        if run[key] != value:
            raise CannotRunError(
                f"{path} was made with {key} {run[key]}, this measurement with {value}: "
                "record it in the folder of another run"
            )
    require_sizes(run["sizes"], conditions.sizes, path.parent / measurement.folder / CSV_NAME)
    entry = {
        "folder": measurement.folder,
        "dispatch": measurement.dispatch,
        "order": measurement.order,
        "address": measurement.address,
        "seed": measurement.seed,
        "summary": dict(measurement.summary),
        "clocks": list(measurement.clocks or ()),
    }
    folders = [held.get("folder") for held in run["measurements"]]
    if measurement.folder in folders:
        place = folders.index(measurement.folder)
        if measurement.clocks is None:
            entry["clocks"] = run["measurements"][place].get("clocks", [])
        run["measurements"][place] = entry
    else:
        run["measurements"].append(entry)
    seeds = {held["seed"] for held in run["measurements"]}
    run["seed"] = seeds.pop() if len(seeds) == 1 else None
    run["environment"] |= environment
    _check(run, path)
    write_whole(path, json.dumps(run, indent=2, allow_nan=False) + "\n")


def require_sizes(recorded: Sequence[float], found: Sequence[Decimal], path: Path) -> None:
    """Refuse a measurement of other sessions; all of a run send the same sizes, in orders of their own.

    Raises CannotRunError, which names the path of the sessions found.
    """
    sizes = [_number(size) for size in found]
    if Counter(sizes) != Counter(recorded):
        raise CannotRunError(
            f"{path} has {len(sizes)} sessions of the sizes {_few(sizes)}; {JSON_NAME} was made with "
            f"{len(recorded)} of {_few(recorded)}: measure again, or record it in the folder of another run"
        )


def _few(sizes: Sequence[float], most: int = 10) -> str:
    return ",".join(map(str, sizes[:most])) + (",..." if len(sizes) > most else "")


def read_run(path: Path) -> dict[str, Any]:
    """Read run.json. Measurements recorded before they had a seed of their own get the run's.

    Raises CannotRunError, with the field, when the file cannot be read or is no run.json of this version.
    """
    run = read_json(path, "the record")
    _check(run, path)
    for measurement in run["measurements"]:
        measurement.setdefault("seed", run["seed"])
    return dict(run)


def _check(run: object, path: Path) -> None:
    """Raise CannotRunError, with the field, when it is not what the schema says."""
    try:
        _valid()(run)
    except ValueError as error:
        fault = str(error).removeprefix("data").lstrip(". ")
        raise CannotRunError(
            f"{path} is no record of schema version {SCHEMA_VERSION}: {fault}. "
            "Mend it, or move it away and record again"
        ) from None


@functools.cache
def _valid() -> Callable[[object], object]:
    """Return what raises ValueError, with the field, for a record that the schema does not allow."""
    import fastjsonschema  # here, as `run` has no need of it

    check: Callable[[object], object] = fastjsonschema.compile(json.loads(SCHEMA.read_text(encoding="utf-8")))
    return check


def read_json(path: Path, what: str) -> Any:
    """Read a JSON file; what says its purpose in the message.

    Raises CannotRunError when it cannot be read, is not JSON, or has what could not be written again.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"), parse_constant=_no_constant)
        _require_plain(value)
    except OSError as error:
        raise CannotRunError(f"cannot read {what} {path}: {error.strerror}") from None
    except RecursionError:
        raise CannotRunError(f"{what} {path} is nested more than {MOST_NESTED} deep") from None
    except ValueError as error:
        raise CannotRunError(f"{what} {path} is not JSON: {error}") from None
    return value


def _require_plain(value: object, depth: int = 0) -> None:
    if depth > MOST_NESTED:
        raise RecursionError
    if isinstance(value, dict | list):
        for inner in value:
            _require_plain(inner, depth + 1)
    if isinstance(value, dict):
        _require_plain(list(value.values()), depth)
    elif isinstance(value, str):
        value.encode()  # half a character can be escaped in JSON, but not written
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError("a number is too large")


def nodes_of_pods(path: Path) -> dict[str, str]:
    """Return the node of each pod in a file as `kubectl get pods -o json` writes it, or a bare list of pods.

    Raises CannotRunError when it is neither.
    """
    pods = read_json(path, "the list of pods")
    if isinstance(pods, dict):
        pods = pods.get("items")
    try:
        return {str(pod["metadata"]["name"]): str(pod["spec"].get("nodeName") or "") for pod in pods}
    except (TypeError, KeyError, AttributeError):
        raise CannotRunError(
            f"{path} is no list of pods: give the output of `kubectl get pods -o json`"
        ) from None


def with_nodes(results: Sequence[SessionResult], nodes: Mapping[str, str]) -> list[SessionResult]:
    """Return the results with the node of each pod filled in; other pods keep what they had."""
    return [replace(result, node=nodes.get(result.pod) or result.node) for result in results]


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON value")


def _number(value: Decimal) -> int | float:
    return int(value) if value == value.to_integral_value() else float(value)
