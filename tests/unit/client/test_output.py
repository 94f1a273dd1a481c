"""client.txt: the sentences and the summary."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest
from session_client.output import client_text, sentence, with_figures
from session_client.results import SessionResult
from session_client.summary import analyse, count

POD = "singlethread-6c88c4df65-mvpbf"


def text(
    results: list[SessionResult],
    scale: str = "1",
    replicas: int | None = None,
    notes: list[str] | None = None,
) -> str:
    return client_text(
        results,
        count(results),
        analyse(results, Decimal(scale), replicas),
        time_scale=Decimal(scale),
        replicas=replicas,
        notes=notes or [],
    )


@pytest.mark.parametrize(
    ("size", "end", "expected"),
    [
        ("2", 18.011610713, f"2 processed on {POD} after 18.011610713 seconds."),
        ("0.50", 1.0, f"0.50 processed on {POD} after 1.000000000 seconds."),
        ("10", 86400.25, f"10 processed on {POD} after 86400.250000000 seconds."),
    ],
)
def test_a_done_session_has_the_first_experiments_sentence(
    make_result: Callable[..., SessionResult], size: str, end: float, expected: str
) -> None:
    assert sentence(make_result(size=Decimal(size), end=end, pod=POD), size) == expected


def test_seconds_count_from_the_intended_start(make_result: Callable[..., SessionResult]) -> None:
    result = make_result(intended_start=10.0, connected=11.0, end=12.5)
    assert sentence(result, "2") == "2 processed on pod-a after 2.500000000 seconds."


def test_a_pod_that_is_not_known_is_not_named(make_result: Callable[..., SessionResult]) -> None:
    assert sentence(make_result(pod=""), "7 8") == "7 8 processed after 2.500000000 seconds."


def test_a_failed_session_has_its_reason(make_result: Callable[..., SessionResult]) -> None:
    result = make_result(size=Decimal(7), end=3.0021, error="connection refused")
    assert sentence(result, "7") == "7 failed after 3.002 seconds: connection refused"


def test_sentences_then_a_blank_line_then_the_summary(make_result: Callable[..., SessionResult]) -> None:
    results = [
        make_result(id=1, pod="web-1-a", end=2.0),
        make_result(id=2, pod="web-1-b", end=3.0, size=Decimal(1)),
        make_result(id=3, error="connection refused", pod="", connected=None, first_byte=None, end=0.5),
    ]
    assert text(results, replicas=3).splitlines() == [
        "2 processed on web-1-a after 2.000000000 seconds.",
        "1 processed on web-1-b after 3.000000000 seconds.",
        "2 failed after 0.500 seconds: connection refused",
        "",
        "sessions                2 done  1 failed, 0 retried, 0 lost, 0 duplicated",
        "  failed                   1 x  connection refused",
        "pods                    2 used  of 3, as --replicas says",
        "makespan               3.000 s  first start to last end",
        "lower bound            2.000 s  no schedule is faster",
        "ratio                    1.500  makespan / lower bound",
        "list schedule          2.000 s  one queue, in request order",
        "longest first          2.000 s  one queue, longest first",
        "Graham bound           2.333 s  one queue, worst order",
        "utilisation              33.3%  pods' time spent working",
        "idle-while-queued      3.998 s  pod-seconds idle while sessions waited",
        "overhead               0.000 s  least beyond a session's size",
        "wait                   1.000 s  median; p95 1.900 s, worst 2.000 s",
        "slowdown                2.00 x  median; p95 2.900 x, worst 3.000 x",
        "  connect              0.001 s  median; p95 0.001 s, worst 0.001 s",
        "  queue wait           1.000 s  median; p95 1.899 s, worst 1.999 s",
        "  service              1.500 s  median; p95 1.949 s, worst 1.999 s",
        "  times from           derived  sizes and ends, for want of logs",
        "busy share               50.0%  mean of the pods used: a 67%, b 33%",
    ]


def test_the_summary_stays_short_and_says_what_is_special(make_result: Callable[..., SessionResult]) -> None:
    results = [make_result(id=n, pod=f"web-1-{n}") for n in range(40)]
    results += [make_result(id=40 + n, error=f"reason {n}") for n in range(10)]
    summary = text(results, scale="0.5", notes=["held back"]).partition("\n\n")[2]
    lines = summary.splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 160
    assert "of 40, the ones seen (no --replicas)" in summary
    assert "32 more, down to" in summary
    assert "time scale                 0.5  " in summary
    assert lines[-1] == "note                            held back"


def test_other_figures_leave_sentences_and_notes_as_they_are(
    make_result: Callable[..., SessionResult],
) -> None:
    results = [make_result()]
    before = client_text(
        results,
        count(results),
        None,
        time_scale=Decimal(1),
        replicas=None,
        notes=["held back", "a second one"],
        labels=["7 8"],
    )
    summary = analyse(results, Decimal(1), 5)
    after = with_figures(before, results, count(results), summary, time_scale=Decimal(1), replicas=5)
    assert after.partition("\n\n")[0] == before.partition("\n\n")[0]
    assert "of 5, as --replicas says" in after
    assert after.splitlines()[-2:] == before.splitlines()[-2:]
    assert with_figures(after, results, count(results), summary, time_scale=Decimal(1), replicas=5) == after


def test_without_a_done_session_there_are_no_figures(make_result: Callable[..., SessionResult]) -> None:
    summary = text([make_result(error="connection refused")]).partition("\n\n")[2]
    assert [line.split()[0] for line in summary.splitlines()] == ["sessions", "failed"]


@pytest.mark.parametrize(
    ("pods", "shown"),
    [
        (["web-1-a", "web-1-b"], ["a ", "b "]),
        (["web-1-a", "web-2-a"], ["web-1-a ", "web-2-a "]),
        (["alpha", "beta"], ["alpha ", "beta "]),
        (["host"], ["host "]),
    ],
)
def test_pods_lose_only_a_prefix_that_all_share(
    make_result: Callable[..., SessionResult], pods: list[str], shown: list[str]
) -> None:
    line = text([make_result(id=n, pod=pod) for n, pod in enumerate(pods)]).splitlines()[-1]
    assert [part.partition(" ")[0] + " " for part in line.partition("used: ")[2].split(", ")] == shown
