"""What the API server said, or that it said nothing: pure functions over what a module returned."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

_AWAY = re.compile(
    "Failed to establish a new connection|Connection (refused|reset|aborted)|timed out"
    "|Service ?Unavailable|apiserver not ready",
    re.IGNORECASE,
)
"""What is heard while an API server restarts, from it, from the network and from what stands before it."""


def api_away(result: Mapping[str, Any]) -> bool:
    """Tell whether a module failed because the API server did not answer, rather than by its answer.

    kubernetes.core's module crashes then; and what crashed has no message as long as its task may be retried.
    """
    return bool(result.get("failed")) and ("msg" not in result or _AWAY.search(result["msg"]) is not None)


def api_message(text: str) -> str:
    """Return the sentence of the API server's answer that kubernetes.core quotes, or else the text itself.

    It quotes a Kubernetes Status in JSON, whole, as Python writes bytes: Failed to apply object: b'{...}'.
    """
    try:
        return str(json.loads(ast.literal_eval(text.partition(": ")[2]))["message"])
    except (ValueError, SyntaxError, TypeError, KeyError):
        return text


class FilterModule:
    """What the tasks of this role use, under the role's name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Map the filters' names to their functions."""
        return {"session_manifests_api_away": api_away, "session_manifests_api_message": api_message}
