"""Which image another one stands on."""

from __future__ import annotations

import pytest

from roles.session_image.filter_plugins.image_layers import stands_on


@pytest.mark.parametrize(
    ("layers", "base", "verdict"),
    [
        (["a", "b", "c"], ["a", "b"], True),
        (["a", "b"], ["a", "b"], True),
        (["a"], [], True),
        (["x", "b", "c"], ["a", "b"], False),
        (["b", "a", "c"], ["a"], False),
        (["a"], ["a", "b"], False),
        ([], ["a"], False),
    ],
)
def test_an_image_stands_on_the_layers_it_begins_with(
    layers: list[str], base: list[str], verdict: bool
) -> None:
    assert stands_on(layers, base) is verdict
