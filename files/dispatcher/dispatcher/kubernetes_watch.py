"""Follows a service's EndpointSlices in a thread of its own: list, watch, list again when a watch is lost."""

from __future__ import annotations

import http.client
import json
import random
import threading
from collections.abc import Callable, Iterator
from typing import Protocol

from .endpoint_slices import Object, endpoints
from .kubernetes_api import Api, StatusError
from .members import Endpoint

WATCH_SECONDS = 60
"""How long the server keeps one watch open; then the next begins where it ended."""
LIST_SECONDS = 30
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
    """The slices of one service."""

    def __init__(self, api: Api, namespace: str, service: str) -> None:
        """Ask for the slices of a service."""
        self._api = api
        self._path = f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"
        self._query = {"labelSelector": f"kubernetes.io/service-name={service}"}

    def list(self) -> tuple[list[Object], str]:
        """Return the service's slices and their version; raises what Api.get and json.load raise."""
        with self._api.get(self._path, self._query, LIST_SECONDS) as answer:
            listed = json.load(answer)
        return listed.get("items") or [], listed["metadata"]["resourceVersion"]

    def watch(self, version: str) -> Iterator[Object]:
        """Yield events; raises what Api.get and json.loads raise."""
        query = self._query | {
            "watch": "true",
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(WATCH_SECONDS),
        }
        try:
            with self._api.get(self._path, query, SILENCE_SECONDS) as answer:
                yield from map(json.loads, answer)
        except StatusError as error:
            if error.status == http.client.GONE:
                raise ExpiredError from None
            raise


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
