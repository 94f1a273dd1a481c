"""Pods' names, short enough to print."""

from collections.abc import Iterable


def short_names(pods: Iterable[str]) -> dict[str, str]:
    """Return each pod's name without the prefix up to the last hyphen, when all of them share it."""
    names = dict.fromkeys(pods)
    prefixes = {name.rpartition("-")[0] for name in names}
    cut = len(prefixes.pop()) + 1 if len(prefixes) == 1 and "" not in prefixes else 0
    return {name: name[cut:] for name in names}
