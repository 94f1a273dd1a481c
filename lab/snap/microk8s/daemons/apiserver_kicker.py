"""``daemon-apiserver-kicker``: a new certificate for the API when the host's addresses or names change."""

from __future__ import annotations

import subprocess
import sys
import time

from microk8s import certificates, membership, services
from microk8s.addresses import host_addresses
from microk8s.paths import Paths

PERIOD_SECONDS = 5.0


def run(paths: Paths) -> int:
    """Look every few seconds, for ever."""
    while True:
        try:
            look_once(paths)
        except (OSError, RuntimeError, subprocess.CalledProcessError) as error:
            print(f"certificate not reissued: {error}", file=sys.stderr)
        time.sleep(PERIOD_SECONDS)


def look_once(paths: Paths) -> bool:
    """Reissue the certificate if it lacks a name, restart what serves it; return whether that was so.

    Once another node has joined it stays. After a join that failed nothing is restarted, as in MicroK8s.
    """
    if services.no_reissue_lock(paths).exists():
        return False
    addresses = host_addresses()
    if not addresses:  # the network is not up: the addresses will come back
        return False
    if not certificates.reissue_server(paths, addresses):
        return False
    if membership.joining_lock(paths).exists():
        print("certificate reissued, not in use while a join is in progress", file=sys.stderr)
        return False
    print("CSR change detected. Reconfiguring the kube-apiserver", file=sys.stderr)
    services.restart("kubelite")
    return True
