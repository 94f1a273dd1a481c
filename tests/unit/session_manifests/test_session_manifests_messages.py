"""The API server's sentence, without what kubernetes.core wraps around it."""

from __future__ import annotations

import json

import pytest

from roles.session_manifests.filter_plugins.session_manifests_messages import api_away, api_message


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


@pytest.mark.parametrize(
    "text",
    [
        "HTTPSConnection(host='192.0.2.1', port=16443): Failed to establish a new connection: [Errno 111]",
        "('Connection aborted.', ConnectionResetError(104, 'Connection reset by peer'))",
        "HTTPSConnectionPool(host='192.0.2.1', port=16443): Read timed out. (read timeout=20)",
        'Failed to apply object: b\'{"reason":"ServiceUnavailable","code":503}\'',
    ],
)
def test_no_answer_is_told_from_an_answer(text: str) -> None:
    assert api_away({"failed": True, "msg": text})


def test_a_crash_that_has_no_message_yet_is_no_answer() -> None:
    assert api_away({"failed": True, "exception": "(traceback unavailable)"})


@pytest.mark.parametrize(
    "result",
    [
        {"failed": False, "msg": "timed out"},
        {"changed": True},
        {"failed": True, "msg": 'Service "singlethread" is invalid: spec.ports[0].nodePort: Invalid value'},
        {"failed": True, "msg": "Unauthorized"},
    ],
)
def test_an_answer_is_one(result: dict[str, object]) -> None:
    assert not api_away(result)
