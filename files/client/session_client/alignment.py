"""Finds a measurement's sessions in a log that was written by another clock, and how the clocks differ.

Both sides saw the sessions end: the client the end of the reply, the log the pod's close. So the right
offset between the clocks is the one at which the ends of sessions of the same pod and size coincide. The
offset is found from the ends alone; what the client's clock said at the measurement's start only bounds it,
which keeps the sessions of other measurements out.
"""

import bisect
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from session_client.session_logs import LoggedSession
from session_client.summary import percentile

MOST_APART = 10.0
"""Seconds by which clocks may differ: what preflight allows hosts."""

LATE = 0.5
"""Seconds by which a client's end may come after the log's: the threads of a busy client are late."""

EARLY = 0.1
"""Seconds by which it may come before: a line is written a moment after what it tells."""

SURE = 3
"""So many sessions at least, and more than half, must agree on clocks that differ by more than that..."""

SURE_WITHIN = 0.1
"""... within so many seconds."""

_ANCHORS = 8
_MOST_OFFSETS = 400

Key = Hashable
"""What a session and its line have in common: pod and size, as far as the log tells."""

_Ends = dict[Key, list[tuple[float, int]]]
_Log = dict[Key, list[LoggedSession]]


@dataclass(frozen=True, slots=True)
class Clock:
    """A log's clock beside the client's.

    ahead: seconds by which it is, less what a reply's way back takes. agreement: seconds within which 95 %
    of the sessions' ends then coincide. sessions: how many were found.
    """

    ahead: float
    agreement: float
    sessions: int


@dataclass(frozen=True, slots=True)
class Alignment:
    """The line of each session by its id; what to add to the log's times; the clock. No clock: none found."""

    lines: Mapping[int, LoggedSession]
    offset: float
    clock: Clock | None

    def sessions(self) -> dict[int, LoggedSession]:
        """Return the line of each session with its times from the measurement's start."""
        return {
            number: replace(
                line,
                start=line.start + self.offset,
                end=line.end + self.offset,
                arrival=None if line.arrival is None else line.arrival + self.offset,
            )
            for number, line in self.lines.items()
        }


NOTHING = Alignment({}, 0.0, None)


def align(
    sessions: Iterable[tuple[Key, float, int]],
    lines: Iterable[tuple[Key, LoggedSession]],
    started_at: float,
) -> Alignment:
    """Match sessions, each with its end and id, with a log's lines, both by what they have in common.

    Ends are in seconds from the measurement's start, which was at started_at, seconds since the epoch, by
    the client's clock.
    """
    log: _Log = defaultdict(list)
    for key, line in sorted(lines, key=lambda item: item[1].end):
        log[key].append(line)
    ends: _Ends = defaultdict(list)
    for key, end, number in sorted(sessions, key=lambda item: item[1:]):
        if key in log:
            ends[key].append((end, number))
    end_of = {number: end for own in ends.values() for end, number in own}
    usual = -started_at
    best: dict[int, LoggedSession] = {}
    for offset in _offsets(ends, log, usual):
        matched = _match(ends, log, offset)
        if len(matched) > len(best):
            best = matched
            if len(best) == len(end_of):
                break
    if not best:
        return NOTHING
    best = _match(ends, log, _offset(best, end_of))
    offset = _offset(best, end_of)
    off = percentile([abs(end_of[number] - line.end - offset) for number, line in best.items()], 0.95)
    sure = SURE <= len(best) > len(end_of) / 2 and off <= SURE_WITHIN
    if abs(offset - usual) > LATE and not sure:
        return NOTHING
    return Alignment(best, offset, Clock(usual - offset, off, len(best)))


def _offset(matched: Mapping[int, LoggedSession], end_of: Mapping[int, float]) -> float:
    """Return the offset at which a quarter of the sessions end earlier for the client than in the log.

    Not half of them: a busy client is late more often, and by more, than a log.
    """
    return percentile([end_of[number] - line.end for number, line in matched.items()], 0.25)


def _offsets(ends: _Ends, log: _Log, usual: float) -> list[float]:
    """Return the offsets at which some session's end fits a line's, those nearest the usual one first."""
    candidates = [(key, end) for key, own in ends.items() for end, _ in own]
    step = max(1, len(candidates) // _ANCHORS)
    offsets = {
        # Those a hundredth of a second apart match the same lines.
        round(end - line.end - usual, 2)
        for key, end in candidates[::step]
        for line in _between(log[key], end - usual - MOST_APART, end - usual + MOST_APART)
    }
    return [usual + apart for apart in sorted(offsets, key=abs)[:_MOST_OFFSETS]]


def _between(lines: Sequence[LoggedSession], begin: float, end: float) -> Sequence[LoggedSession]:
    """Return the lines, sorted by end, whose sessions ended between these times."""
    first = bisect.bisect_left(lines, begin, key=lambda line: line.end)
    return lines[first : bisect.bisect_right(lines, end, key=lambda line: line.end)]


def _match(ends: _Ends, log: _Log, offset: float) -> dict[int, LoggedSession]:
    """Give each session the line that ends with it, in order; lines of other sessions are passed over."""
    matched = {}
    for key, sessions in ends.items():
        near = _between(log[key], sessions[0][0] - offset - LATE, sessions[-1][0] - offset + EARLY)
        place, spare = 0, len(near) - len(sessions)
        for end, number in sessions:
            while place < len(near) and _passed_over(near, place, end - offset, spare):
                place, spare = place + 1, spare - 1
            if place < len(near) and near[place].end - (end - offset) <= EARLY:
                matched[number] = near[place]
                place += 1
            else:
                spare += 1
    return matched


def _passed_over(lines: Sequence[LoggedSession], place: int, end: float, spare: int) -> bool:
    """Return whether a line belongs to none of the sessions: too early, or one too many and the next fits."""
    if lines[place].end < end - LATE:
        return True
    if spare <= 0 or place + 1 == len(lines):
        return False
    return abs(lines[place + 1].end - end) < abs(lines[place].end - end)
