"""When sessions are meant to start: all at once, at random, or at the times of a file."""

import random
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from session_client.errors import CannotRunError
from session_client.requests import parse_decimal

FORMS = "burst, poisson:RATE, poisson:RATE:SEED or trace:FILE"


@dataclass(frozen=True, slots=True)
class Burst:
    """All at once."""

    def starts(self, count: int) -> list[float]:
        """Return the intended start of each of the sessions, in seconds from the measurement's start."""
        return [0.0] * count


@dataclass(frozen=True, slots=True)
class Poisson:
    """Independent arrivals, so many a second on average; the same seed gives the same times."""

    rate: float
    seed: int

    def starts(self, count: int) -> list[float]:
        """Return the intended starts, as above: sums of exponentially distributed gaps."""
        source = random.Random(self.seed)
        return list(accumulate(source.expovariate(self.rate) for _ in range(count)))


@dataclass(frozen=True, slots=True)
class Trace:
    """At the times of a file: a number of seconds a line, none smaller than the one before."""

    path: Path

    def starts(self, count: int) -> list[float]:
        """Return the intended starts, as above.

        Raises CannotRunError when the file cannot be read, is wrong, or has another number of times.
        """
        times = read_times(self.path)
        if len(times) != count:
            raise CannotRunError(
                f"{self.path} has {len(times)} times for {count} sessions: give one for each"
            )
        return times


Arrivals = Burst | Poisson | Trace


def parse_arrivals(text: str) -> Arrivals:
    """Read what the user asks for.

    Raises ValueError with a sentence for the user.
    """
    kind, _, rest = text.partition(":")
    if text == "burst":
        return Burst()
    if kind == "trace" and rest:
        return Trace(Path(rest))
    if kind == "poisson" and rest:
        rate_text, colon, seed_text = rest.partition(":")
        rate = float(parse_decimal(rate_text))
        if not rate:
            raise ValueError(f"{text!r}: the rate must be above 0 sessions a second")
        if colon and not (seed_text.isascii() and seed_text.isdigit()):
            raise ValueError(f"{text!r}: the seed {seed_text!r} is not a whole number")
        return Poisson(rate, int(seed_text or 0))
    raise ValueError(f"{text!r} is not {FORMS}")


def read_times(path: Path) -> list[float]:
    """Read the times of a trace; a `#` starts a comment, and empty lines do not count.

    Raises CannotRunError, with the line, when one is wrong or the file cannot be read.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise CannotRunError(f"cannot read the trace {path}: {error.strerror}. Check --arrivals") from None
    except UnicodeDecodeError:
        raise CannotRunError(f"{path} is not a text file: a trace has one number of seconds a line") from None
    times: list[float] = []
    for number, line in enumerate(lines, start=1):
        word = line.partition("#")[0].strip()
        if not word:
            continue
        try:
            time = float(parse_decimal(word))
        except ValueError as error:
            raise CannotRunError(f"{path}, line {number}: {error}") from None
        if times and time < times[-1]:
            raise CannotRunError(
                f"{path}, line {number}: {word} comes before {times[-1]:g} above it: sort the times"
            )
        times.append(time)
    return times
