"""Follows a service's EndpointSlices in a thread of its own: list, watch, list again when a watch is lost."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

from .endpoint_slices import Object, endpoints
from .members import Endpoint

WATCH_SECONDS = 60
"""How long the server keeps one watch open; then the next begins where it ended."""
CONNECT_SECONDS = 5
SILENCE_SECONDS = WATCH_SECONDS + 15
"""After this the server is taken for gone; it would have ended the watch."""
FIRST_PAUSE = 0.25
LONGEST_PAUSE = 15.0
"""Seconds between attempts to reach the API."""

Publish = Callable[[tuple[Endpoint, ...]], None]
Report = Callable[[str, str], None]


class ExpiredError(Exception):
    """The server has forgotten the version to watch from: everything has to be listed again."""


class SliceApi(Protocol):
    """The two calls that following takes."""

    def list(self) -> tuple[list[Object], str]:
        """Return the service's slices and their version."""

    def watch(self, version: str) -> Iterator[Object]:
        """Yield watch events after a version, until the server ends the watch."""


class KubernetesSlices:
    """The slices of one service through the Kubernetes client library."""

    def __init__(self, namespace: str, service: str, kubeconfig: Path | None) -> None:
        """Use the pod's service account, or a kubeconfig file.

        Raises RuntimeError that says what is missing.
        """
        try:
            import kubernetes  # type: ignore[import-untyped]
        except ImportError:
            raise RuntimeError(
                "the Python package `kubernetes` is not installed: install it, or use --pods"
            ) from None
        configuration = kubernetes.client.Configuration()
        try:
            if kubeconfig is None:
                kubernetes.config.load_incluster_config(client_configuration=configuration)
            else:
                kubernetes.config.load_kube_config(str(kubeconfig), client_configuration=configuration)
        except kubernetes.config.ConfigException as error:
            hint = (
                "outside a cluster, use --kubeconfig"
                if kubeconfig is None
                else f"see --kubeconfig {kubeconfig}"
            )
            raise RuntimeError(f"no way into the Kubernetes API: {error}; {hint}") from None
        self._call: Any = kubernetes.client.DiscoveryV1Api(
            kubernetes.client.ApiClient(configuration)
        ).list_namespaced_endpoint_slice
        self._arguments = {
            "namespace": namespace,
            "label_selector": f"kubernetes.io/service-name={service}",
            "_preload_content": False,  # plain JSON: the library's models reject what they do not know
        }

    def list(self) -> tuple[list[Object], str]:
        """Return the service's slices and their version; raises what the library raises."""
        answer = self._call(**self._arguments, _request_timeout=(CONNECT_SECONDS, 30))
        listed = json.loads(answer.data)
        return listed.get("items") or [], listed["metadata"]["resourceVersion"]

    def watch(self, version: str) -> Iterator[Object]:
        """Yield events; raises what the library raises."""
        answer = self._call(
            **self._arguments,
            watch=True,
            resource_version=version,
            allow_watch_bookmarks=True,
            timeout_seconds=WATCH_SECONDS,
            _request_timeout=(CONNECT_SECONDS, SILENCE_SECONDS),
        )
        try:
            rest = b""
            for chunk in answer.stream(amt=None, decode_content=False):
                *lines, rest = (rest + chunk).split(b"\n")
                yield from map(json.loads, filter(None, lines))
        finally:
            answer.release_conn()


class Follower:
    """Publishes a service's endpoints when they change; while the API is away the last known ones stay."""

    def __init__(self, api: SliceApi, port_name: str | None, publish: Publish, report: Report) -> None:
        """Call `publish` with endpoints and `report` with an event and a reason, in the thread of `run`."""
        self._api = api
        self._port_name = port_name
        self._publish = publish
        self._report = report
        self._slices: dict[str, Object] = {}
        self._published: tuple[Endpoint, ...] | None = None
        self._failures = 0
        self._stopped = threading.Event()

    def start(self) -> None:
        """Follow in a thread that ends with the program."""
        threading.Thread(target=self.run, name="members", daemon=True).start()

    def stop(self) -> None:
        """End `run` at its next pause."""
        self._stopped.set()

    def run(self) -> None:
        """Follow until `stop`."""
        while not self._stopped.is_set():
            self._attempt()

    def _attempt(self) -> None:
        """List and watch until something goes wrong; then wait a while, each time longer."""
        try:
            version = self._resync()
            self._failures = 0
            self._follow_on(version)
        except ExpiredError:
            pass
        except Exception as error:  # the API, the network, TLS: every fault has the same cure
            self._report("members_lost", f"{type(error).__name__}: {error}".splitlines()[0])
            pause = min(FIRST_PAUSE * 2**self._failures, LONGEST_PAUSE)
            self._failures = min(self._failures + 1, 16)
            self._stopped.wait(pause * random.uniform(0.5, 1.0))

    def _follow_on(self, version: str) -> None:
        while not self._stopped.is_set():
            version = self._follow(version)

    def _resync(self) -> str:
        items, version = self._api.list()
        self._slices = {item["metadata"]["name"]: item for item in items}
        self._changed()
        return version

    def _follow(self, version: str) -> str:
        for event in self._api.watch(version):
            kind, item = event["type"], event["object"]
            if kind == "ERROR":
                if item.get("code") == 410:
                    raise ExpiredError
                raise RuntimeError(f"watch failed: {item.get('message') or item}")
            version = item["metadata"]["resourceVersion"]
            if kind == "BOOKMARK":
                continue
            name = item["metadata"]["name"]
            if kind == "DELETED":
                self._slices.pop(name, None)
            else:
                self._slices[name] = item
            self._changed()
        return version

    def _changed(self) -> None:
        now = endpoints(self._slices.values(), self._port_name)
        if now != self._published:
            self._published = now
            self._publish(now)
