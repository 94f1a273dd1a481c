"""docs/run-schema.json: what it says is what `session-client record` writes."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from session_client.figures import as_data
from session_client.results import SessionResult
from session_client.run_record import Conditions, Measurement, record
from session_client.summary import Counts, Summary, analyse, count

SCHEMA = json.loads((Path(__file__).parents[3] / "docs/run-schema.json").read_text())

NEWER = {"connect", "queue_wait", "service", "source"}
"""Figures that older files do not have."""


@pytest.fixture
def written(tmp_path: Path, make_result: Callable[..., SessionResult]) -> Callable[..., dict[str, Any]]:
    """Record a measurement of the results, two sessions that were done unless told, and return run.json."""

    def write(*results: SessionResult, scale: str = "1", seed: int | None = 7) -> dict[str, Any]:
        chosen = results or (make_result(), make_result(id=2, size=Decimal("0.5"), pod="pod-b"))
        time_scale = Decimal(scale)
        record(
            tmp_path / "run.json",
            Conditions(time_scale, 2, [result.size for result in chosen]),
            {"kernel": "6.1", "nodes": [{"name": "lab1", "cpus": "2"}]},
            Measurement(
                "queue-fifo-1",
                "queue",
                "fifo",
                "[::1]:5501",
                seed,
                as_data(count(chosen), analyse(chosen, time_scale, 2)),
            ),
        )
        content: dict[str, Any] = json.loads((tmp_path / "run.json").read_text())
        return content

    return write


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_the_summary_has_every_figure() -> None:
    figures = {field.name for kind in (Summary, Counts) for field in dataclasses.fields(kind)}
    summary = SCHEMA["$defs"]["summary"]
    assert set(summary["properties"]) == figures
    assert set(summary["required"]) == figures - NEWER


@pytest.mark.parametrize("scale", ["1", "0.05"])
@pytest.mark.parametrize("seed", [None, 0, 7])
def test_what_is_recorded_is_valid(
    written: Callable[..., dict[str, Any]], scale: str, seed: int | None
) -> None:
    jsonschema.validate(written(scale=scale, seed=seed), SCHEMA)


def test_a_run_without_a_done_session_is_valid(
    written: Callable[..., dict[str, Any]], make_result: Callable[..., SessionResult]
) -> None:
    jsonschema.validate(written(make_result(error="connection refused", pod="")), SCHEMA)


def test_sessions_of_no_length_are_valid(
    written: Callable[..., dict[str, Any]], make_result: Callable[..., SessionResult]
) -> None:
    jsonschema.validate(written(make_result(size=Decimal(0), end=0.1)), SCHEMA)


def test_a_record_from_before_measurements_had_seeds_is_valid(
    written: Callable[..., dict[str, Any]],
) -> None:
    run = written()
    del run["measurements"][0]["seed"]
    jsonschema.validate(run, SCHEMA)


def test_a_record_from_before_logs_were_read_is_valid(written: Callable[..., dict[str, Any]]) -> None:
    run = written()
    del run["measurements"][0]["clocks"]
    for figure in NEWER:
        del run["measurements"][0]["summary"][figure]
    jsonschema.validate(run, SCHEMA)


def test_what_is_not_known_is_passed_over(written: Callable[..., dict[str, Any]]) -> None:
    run = written()
    run["later"] = run["measurements"][0]["later"] = run["measurements"][0]["summary"]["later"] = [1]
    jsonschema.validate(run, SCHEMA)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["schema_version"], 2),
        (["time_scale"], 0),
        (["replicas"], 0),
        (["replicas"], 1e30),
        (["sizes"], [-1]),
        (["measurements", 0, "address"], "nowhere"),
        (["measurements", 0, "seed"], -1),
        (["measurements", 0, "summary", "wait"], {"p50": 1}),
        (["measurements", 0, "summary", "sessions_lost"], None),
        (["measurements", 0, "summary", "source"], "guessed"),
        (["measurements", 0, "clocks"], [{"log": "pods"}]),
    ],
)
def test_what_is_wrong_is_refused(
    written: Callable[..., dict[str, Any]], path: list[str | int], value: object
) -> None:
    run = written()
    place: Any = run
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(run, SCHEMA)
