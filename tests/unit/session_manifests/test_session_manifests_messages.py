"""The API server's sentence, without what kubernetes.core wraps around it."""

from __future__ import annotations

import json

import pytest

from roles.session_manifests.filter_plugins.session_manifests_messages import api_message


@pytest.mark.parametrize(
    "sentence",
    [
        'Service "singlethread" is invalid: spec.ports[0].nodePort: Invalid value: 2000',
        r"regex used for validation is '[a-z]([-a-z]*[a-z])?(\.[a-z])*'",
        "ünïcode: both ' and \" quotes",
    ],
)
def test_the_sentence_is_taken_out_of_the_answer(sentence: str) -> None:
    answer = json.dumps({"kind": "Status", "message": sentence, "code": 422}).encode() + b"\n"
    assert api_message(f"Failed to apply object: {answer!r}") == sentence


@pytest.mark.parametrize("text", ["no colon", "a: b", "a: b'{}'", "a: b'not JSON'", "a: ['list']", ""])
def test_any_other_message_stays_as_it_is(text: str) -> None:
    assert api_message(text) == text
