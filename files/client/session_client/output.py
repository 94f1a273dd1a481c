"""client.txt: a sentence for each session in request order, then the summary for people."""

from collections import Counter
from collections.abc import Sequence
from decimal import Decimal

from session_client.names import short_names
from session_client.requests import plain
from session_client.results import SessionResult
from session_client.summary import SOURCES, Counts, Summary

TXT_NAME = "client.txt"

_MOST_REASONS = 3
_MOST_PODS = 8


def sentence(result: SessionResult, label: str) -> str:
    """Return the session's line. Seconds count from its intended start; the label says what was asked for."""
    if result.done:
        place = f" on {result.pod}" if result.pod else ""
        return f"{label} processed{place} after {result.response:.9f} seconds."
    return f"{label} failed after {result.response:.3f} seconds: {result.error}"


def client_text(
    results: Sequence[SessionResult],
    counts: Counts,
    summary: Summary | None,
    *,
    time_scale: Decimal,
    replicas: int | None,
    notes: Sequence[str] = (),
    labels: Sequence[str] = (),
) -> str:
    """Return the whole of client.txt: sentences, a blank line, the summary.

    Sessions that were interrupted have one sentence together. labels are what sessions are called, their
    sizes unless given. Without a summary, because no size or no pod is known, there is what can be said
    without.
    """
    labels = labels or [f"{result.size:f}" for result in results]
    rows = _rows(results, counts, summary, time_scale, replicas, notes)
    sentences = [
        sentence(result, label)
        for result, label in zip(results, labels, strict=True)
        if not result.interrupted
    ]
    return "\n".join([*sentences, *_interrupted(results), "", *rows]) + "\n"


def with_figures(
    text: str,
    results: Sequence[SessionResult],
    counts: Counts,
    summary: Summary | None,
    *,
    time_scale: Decimal,
    replicas: int | None,
) -> str:
    """Return a client.txt with other figures; its sentences and notes stay."""
    sentences, blank, figures = text.rpartition("\n\n")
    lines = [line.split(maxsplit=1) for line in figures.splitlines()]
    notes = [line[1] for line in lines if len(line) == 2 and line[0] == "note"]
    rows = _rows(results, counts, summary, time_scale, replicas, notes)
    return sentences + blank + "\n".join(rows) + "\n"


def _rows(
    results: Sequence[SessionResult],
    counts: Counts,
    summary: Summary | None,
    time_scale: Decimal,
    replicas: int | None,
    notes: Sequence[str],
) -> list[str]:
    """Return the lines below the sentences."""
    interrupted = sum(result.interrupted for result in results)
    rows = [_row("sessions", *_counts(counts, interrupted))]
    reasons = Counter(result.error for result in results if not result.done and not result.interrupted)
    rows += [_row("  failed", f"{number} x", reason) for reason, number in reasons.most_common(_MOST_REASONS)]
    if summary:
        rows += _figures(summary, replicas)
    elif counts.sessions_done:
        rows.append(_row("makespan", _seconds(_makespan(results)), "first intended start to last end"))
    if time_scale != 1:
        rows.append(_row("time scale", plain(time_scale), "seconds above are as run: sizes x time scale"))
    return [*rows, *(_row("note", "", note) for note in notes)]


def _figures(summary: Summary, replicas: int | None) -> list[str]:
    told = "as --replicas says" if replicas else "the ones seen (no --replicas)"
    ratio = "-" if summary.ratio is None else f"{summary.ratio:.3f}"
    return [
        _row("pods", f"{summary.pods_used} used", f"of {summary.pods}, {told}"),
        _row("makespan", _seconds(summary.makespan), "first start to last end"),
        _row("lower bound", _seconds(summary.lower_bound), "no schedule is faster"),
        _row("ratio", ratio, "makespan / lower bound"),
        _row("list schedule", _seconds(summary.list_schedule), "one queue, in request order"),
        _row("longest first", _seconds(summary.longest_first), "one queue, longest first"),
        _row("Graham bound", _seconds(summary.graham_bound), "one queue, worst order"),
        _row("utilisation", f"{summary.utilisation:.1%}", "pods' time spent working"),
        _row(
            "idle-while-queued",
            f"{summary.idle_while_queued:.3f} s",
            "pod-seconds idle while sessions waited",
        ),
        _row("overhead", _seconds(summary.overhead), "least beyond a session's size"),
        _row("wait", _seconds(summary.wait.p50), _tail("s", summary.wait.p95, summary.wait.max)),
        _row(
            "slowdown",
            f"{summary.slowdown.p50:.2f} x",
            _tail("x", summary.slowdown.p95, summary.slowdown.max),
        ),
        *(
            _row(name, _seconds(part.p50), _tail("s", part.p95, part.max))
            for name, part in (
                ("  connect", summary.connect),
                ("  queue wait", summary.queue_wait),
                ("  service", summary.service),
            )
        ),
        _row("  times from", summary.source, SOURCES[summary.source]),
        _row("busy share", *_busy(summary.busy_share)),
    ]


def _makespan(results: Sequence[SessionResult]) -> float:
    done = [result for result in results if result.done]
    return max(result.end for result in done) - min(result.intended_start for result in done)


def _interrupted(results: Sequence[SessionResult]) -> list[str]:
    """Return a line about those that the client gave up itself, none when there are none."""
    given_up = [result for result in results if result.interrupted]
    opened = sum(result.attempts > 0 for result in given_up)
    return [f"{len(given_up)} interrupted, {opened} of them were open."] if given_up else []


def _counts(counts: Counts, interrupted: int) -> tuple[str, str]:
    others = {
        "failed": counts.sessions_failed - interrupted,
        **({"interrupted": interrupted} if interrupted else {}),
        "retried": counts.sessions_retried,
        "lost": counts.sessions_lost,
        "duplicated": counts.sessions_duplicated,
    }
    return f"{counts.sessions_done} done", ", ".join(f"{number} {name}" for name, number in others.items())


def _busy(shares: dict[str, float]) -> tuple[str, str]:
    """Return the mean and the pods one by one, without the prefix that pods of one deployment share."""
    ordered = sorted(shares.items(), key=lambda item: -item[1])
    short = short_names(shares)
    names = [f"{short[pod]} {share:.0%}" for pod, share in ordered[:_MOST_PODS]]
    if len(ordered) > _MOST_PODS:
        names.append(f"{len(ordered) - _MOST_PODS} more, down to {ordered[-1][1]:.0%}")
    return f"{sum(shares.values()) / len(shares):.1%}", "mean of the pods used: " + ", ".join(names)


def _tail(unit: str, p95: float, most: float) -> str:
    return f"median; p95 {p95:.3f} {unit}, worst {most:.3f} {unit}"


def _seconds(value: float) -> str:
    return f"{value:.3f} s"


def _row(name: str, figure: str, meaning: str) -> str:
    return f"{name:<18}{figure:>12}  {meaning}"
