"""trace.json: the run in the Chrome trace format, to open with Perfetto (ui.perfetto.dev) or chrome://tracing.

A process is a measurement, a thread in it a pod, a slice a session in service; waits are asynchronous slices,
queue length and idle pods are counters. Format: "Trace Event Format" of the Chromium project.
"""

import json
from typing import Any

from session_client.requests import plain
from session_client.run_folder import Measured, Run
from session_client.timeline import moments

TRACE_NAME = "trace.json"

MOST_SESSIONS = 100_000
"""Of all measurements: some 70 MB, about as much as a browser can show."""

Event = dict[str, Any]


def trace_text(run: Run) -> str:
    """Return the whole of trace.json: an event a line."""
    most = MOST_SESSIONS // len(run.measurements)
    events = [
        event
        for process, measured in enumerate(run.measurements, start=1)
        for event in _events(process, measured, most)
    ]
    lines = ",\n".join(json.dumps(event, separators=(",", ":")) for event in events)
    return f'{{"displayTimeUnit":"ms","traceEvents":[\n{lines}\n]}}\n'


def _events(process: int, measured: Measured, most: int) -> list[Event]:
    title = measured.folder
    if len(measured.served) > most:
        title += f" (the first {most:,} of {len(measured.served):,} sessions)"
    pods = {pod: thread for thread, pod in enumerate(sorted({i.pod for i in measured.intervals}), start=1)}
    events: list[Event] = [_name("process_name", process, 0, title)]
    events += [_name("thread_name", process, thread, pod) for pod, thread in pods.items()]
    for served in measured.served[:most]:
        result, interval = served.result, served.interval
        name = f"{plain(result.size)} (session {result.id})"
        events.append(
            {
                "ph": "X",
                "cat": "service",
                "name": name,
                "pid": process,
                "tid": pods[interval.pod],
                "ts": _micro(interval.start),
                "dur": _micro(interval.end) - _micro(interval.start),
                "args": {
                    "id": result.id,
                    "size": served.size,
                    "wait": served.wait,
                    "attempts": result.attempts,
                },
            }
        )
        if _micro(interval.start) > _micro(interval.arrival):
            wait = {"cat": "wait", "name": f"{name} waits", "pid": process, "id": f"{process}.{result.id}"}
            events.append({"ph": "b", "ts": _micro(interval.arrival), **wait})
            events.append({"ph": "e", "ts": _micro(interval.start), **wait})
    for moment in moments(measured.intervals, measured.pods)[: 3 * most]:
        counter = {"ph": "C", "pid": process, "ts": _micro(moment.time)}
        events.append(counter | {"name": "sessions waiting", "args": {"waiting": moment.waiting}})
        events.append(counter | {"name": "pods idle", "args": {"idle": moment.idle}})
    return events


def _name(what: str, process: int, thread: int, name: str) -> Event:
    return {"ph": "M", "name": what, "pid": process, "tid": thread, "args": {"name": name}}


def _micro(seconds: float) -> int:
    return round(seconds * 1_000_000)
