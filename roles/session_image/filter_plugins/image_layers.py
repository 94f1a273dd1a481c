"""Filter that tells which image another one was built upon."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any


def stands_on(layers: Sequence[str], base_layers: Sequence[str]) -> bool:
    """Tell whether an image's layers, lowest first, begin with those of its base.

    Both are digests of uncompressed layers, as `docker image inspect` and an image's configuration list them.
    A base that is not known, without layers, contradicts nothing.
    """
    return list(layers[: len(base_layers)]) == list(base_layers)


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {"stands_on": stands_on}
