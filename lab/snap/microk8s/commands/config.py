"""``microk8s config``: the administrator's kubeconfig, for use on other machines."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from microk8s.addresses import default_address
from microk8s.paths import API_PORT, Paths


def run(paths: Paths, words: Sequence[str]) -> int:
    """Print the kubeconfig with the address of the default route, or with 127.0.0.1."""
    parser = argparse.ArgumentParser(
        prog="microk8s config", description="Print the administrator's kubeconfig."
    )
    parser.add_argument("-l", "--use-loopback", action="store_true", help="keep 127.0.0.1 as the server")
    options = parser.parse_args(words)
    text = paths.admin_config.read_text(encoding="utf-8")
    if not options.use_loopback:
        text = text.replace(f"https://127.0.0.1:{API_PORT}", f"https://{default_address()}:{API_PORT}")
    print(text, end="")
    return 0
