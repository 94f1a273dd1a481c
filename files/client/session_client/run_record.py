"""run.json: what was measured where, one entry for each measurement of a run."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from session_client.errors import CannotRunError
from session_client.files import write_whole
from session_client.results import SessionResult

JSON_NAME = "run.json"

SCHEMA_VERSION = 1

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
    sizes = [_number(size) for size in conditions.sizes]
    common = {
        "schema_version": SCHEMA_VERSION,
        "time_scale": _number(conditions.time_scale),
        "replicas": conditions.replicas,
        "sizes": sizes,
    }
    run = read_run(path) if path.exists() else {"seed": None, **common, "environment": {}, "measurements": []}
    for key, value in common.items():
        # Measurements of one run may send the same sizes in different orders.
        same = Counter(run[key]) == Counter(sizes) if key == "sizes" else run[key] == value
        if not same:
            raise CannotRunError(
                f"{path} was made with {key} {run[key]}, this measurement with {value}: "
                "record it in the folder of another run"
            )
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
    write_whole(path, json.dumps(run, indent=2, allow_nan=False) + "\n")


def read_run(path: Path) -> dict[str, Any]:
    """Read run.json. Measurements recorded before they had a seed of their own get the run's.

    Raises CannotRunError when the file cannot be read or is no run.json of this version.
    """
    run = read_json(path, "the record")
    keys = {"schema_version", "seed", "time_scale", "replicas", "sizes", "environment", "measurements"}
    if not isinstance(run, dict) or run.get("schema_version") != SCHEMA_VERSION or not keys <= run.keys():
        raise CannotRunError(
            f"{path} is no record of schema version {SCHEMA_VERSION}: move it away and record again"
        )
    for measurement in run["measurements"]:
        measurement.setdefault("seed", run["seed"])
    return run


def read_json(path: Path, what: str) -> Any:
    """Read a JSON file; what says its purpose in the message.

    Raises CannotRunError when it cannot be read or is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"), parse_constant=_no_constant)
    except OSError as error:
        raise CannotRunError(f"cannot read {what} {path}: {error.strerror}") from None
    except ValueError as error:
        raise CannotRunError(f"{what} {path} is not JSON: {error}") from None


def nodes_of_pods(path: Path) -> dict[str, str]:
    """Return the node of each pod in a file as `kubectl get pods -o json` writes it, or a bare list of pods.

    Raises CannotRunError when it is neither.
    """
    pods = read_json(path, "the list of pods")
    if isinstance(pods, dict):
        pods = pods.get("items")
    try:
        return {pod["metadata"]["name"]: pod["spec"].get("nodeName") or "" for pod in pods}
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
