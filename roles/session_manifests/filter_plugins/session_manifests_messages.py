"""What the API server said: a pure function over a failed module's message."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable
from typing import Any


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
        return {"session_manifests_api_message": api_message}
