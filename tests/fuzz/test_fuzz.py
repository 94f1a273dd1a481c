"""The fuzz and the kills, for a few seconds each; `make fuzz` sets FUZZ_SECONDS and FUZZ_SEED."""

from __future__ import annotations

import os
from pathlib import Path

from tests.fuzz.hostile import fuzz
from tests.fuzz.kills import kill_at_random

SECONDS = float(os.environ.get("FUZZ_SECONDS", "3"))
SEED = os.environ.get("FUZZ_SEED", "1")
KILLS = max(int(SECONDS) // 3, 6)


def test_outcomes_add_up_and_no_reply_is_cut_whatever_networks_pods_and_clients_do(tmp_path: Path) -> None:
    problems = fuzz(SEED, SECONDS, tmp_path)

    assert not problems, f"FUZZ_SEED={SEED}"


def test_no_client_takes_half_a_reply_for_a_whole_one_when_server_pod_or_queue_is_killed(
    tmp_path: Path,
) -> None:
    findings = kill_at_random(SEED, KILLS, tmp_path)

    assert findings.ends["whole"], "no reply came whole: the kills proved nothing"
    assert not findings.problems, f"FUZZ_SEED={SEED}"
