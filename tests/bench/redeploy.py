#!/usr/bin/env python3
"""Time putting an edited server on the lab's cluster: by the bundle, and by the same steps typed by hand.

Both begin with a server.py that the cluster has not seen and end when every pod runs it: build, save, copy
through the controller, import, rollout. They take turns, so that a change of the machine's load meets both.
Needs `make run` first.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.bench.node import ROOT, Node, playbooks, run


def by_hand(node: Node, context: Path, work: Path, name: str) -> None:
    """Type the steps."""
    microk8s = "sudo /snap/bin/microk8s"
    node.type(
        "rm -rf by-hand && mkdir by-hand && tar -C by-hand -xf -",
        run("tar", "-C", str(context), "-cf", "-", "."),
    )
    node.type(f"sudo docker build --build-arg BASE_IMAGE={node.base_image} -t {name} by-hand")
    node.type(f"sudo docker save {name} > by-hand.tar")
    node.fetch("by-hand.tar", work / "by-hand.tar")
    node.put(work / "by-hand.tar", "by-hand.tar")
    node.type(f"{microk8s} ctr image import by-hand.tar")
    node.type(
        f"{microk8s} kubectl -n sessions set image deployment/singlethread server={name} && "
        f"{microk8s} kubectl -n sessions rollout status deployment/singlethread --timeout=300s"
    )
    node.type(f"rm -rf by-hand by-hand.tar; sudo docker image rm {name}")


def by_bundle(inventory: Path, context: Path) -> None:
    """Run the stages of redeploy.yml up to the measurement, for the server alone as it does."""
    variables = f"session_server_build_context={context} session_dispatches=nodeport"
    playbooks(inventory, "image", "deploy", variables=variables)


def timed(what: Callable[[], None]) -> float:
    """Return how many seconds something took."""
    begun = time.monotonic()
    what()
    return time.monotonic() - begun


def main() -> None:
    """Take turns and print each time, the medians and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--rounds", type=int, default=3, metavar="N", help="turns each (default: %(default)s)"
    )
    parser.add_argument("--inventory", type=Path, default=ROOT / "inventory/lab", help="(%(default)s)")
    options = parser.parse_args()
    rounds, inventory = options.rounds, options.inventory.absolute()
    if rounds < 1:
        parser.error("--rounds must be 1 or more")
    node = Node(inventory)
    hand: list[float] = []
    bundle: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        context = work / "server"
        shutil.copytree(ROOT / "files" / "server", context, ignore=shutil.ignore_patterns("__pycache__"))
        original = (context / "server.py").read_text()

        def edit(turn: str) -> None:
            (context / "server.py").write_text(f"{original}\n# {turn} at {time.time()}\n")

        print(f"{'round':>5} {'by hand':>9} {'bundle':>9}", flush=True)
        for number in range(1, rounds + 1):
            name = f"singlethread:by-hand-{time.time_ns()}"
            edit("by hand")
            hand.append(timed(lambda name=name: by_hand(node, context, work, name)))  # type: ignore[misc]
            edit("bundle")
            bundle.append(timed(lambda: by_bundle(inventory, context)))
            # No pod runs it any more; the bundle removes only images that it named itself.
            node.type(f"sudo /snap/bin/microk8s ctr image rm docker.io/library/{name}")
            print(f"{number:>5} {hand[-1]:>7.1f} s {bundle[-1]:>7.1f} s", flush=True)
    by_bundle(inventory, ROOT / "files" / "server")  # what the tree says runs again
    hand_median, bundle_median = statistics.median(hand), statistics.median(bundle)
    print(f"{'median':>6}{hand_median:>8.1f} s {bundle_median:>7.1f} s")
    print(f"ratio {bundle_median / hand_median:.2f} (bundle / by hand; 1.5 or less is the aim)")


if __name__ == "__main__":
    main()
