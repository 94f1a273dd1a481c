"""The whole dispatcher under any sequence of events: clients, pods, endpoints and time in any order.

`make fuzz` runs it for minutes (FUZZ_EXAMPLES, FUZZ_STEPS).
"""

from __future__ import annotations

import contextlib
import os
from typing import Any, cast
from unittest.mock import patch

from dispatcher.dispatcher import Dispatcher
from dispatcher.log import Log
from dispatcher.members import Endpoint, State
from dispatcher.session import WITH_POD, Phase
from dispatcher.settings import EmptyReply, Mode, OrderName, Settings
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.unit.dispatcher.world import End, Server, World

REPLY_END = b"#"
LONGEST = 5000
"""Bytes of a request or a reply; more than the network takes at once and than is kept of a request."""


class Client:
    """A client: what it sent, what it got, and how that ended."""

    def __init__(self, number: int, end: End) -> None:
        self.number = number
        self.end = end
        self.sent = b""
        self.sent_when_answered: bytes | None = None
        self.received = b""
        self.fate = ""

    @property
    def open(self) -> bool:
        return not self.end.closed

    def read(self, most: int) -> None:
        """Read what there is, at most so much."""
        try:
            while most > 0:
                data = self.end.recv(most)
                if not data:
                    self.fate = "end"
                    return
                self.received += data
                most -= len(data)
        except BlockingIOError:
            return
        except ConnectionResetError:
            self.fate = "reset"


class Machine(RuleBasedStateMachine):
    """Everything that can happen around a dispatcher."""

    @initialize(
        order=st.sampled_from(OrderName),
        mode=st.sampled_from([Mode.REQUEST, Mode.REQUEST, Mode.STREAM]),
        empty=st.sampled_from(EmptyReply),
        half_close=st.sampled_from([True, True, False]),
        probe=st.sampled_from([True, True, False]),
        session_limit=st.sampled_from([0.0, 0.0, 30.0]),
        max_waiting=st.sampled_from([3, 1000]),
        pods=st.integers(0, 3),
    )
    def begin(
        self, mode: Mode, order: OrderName, empty: EmptyReply, probe: bool, pods: int, **others: Any
    ) -> None:
        if mode is Mode.STREAM:
            order = OrderName.FIFO
        self.settings = Settings(
            mode=mode,
            order=order,
            empty_reply=empty,
            probe=probe,
            fair=others.pop("max_waiting") == 3,
            request_buffer=1000,
            reply_buffer=2000,
            reply_total=4000,
            grace=20.0,
            **others,
        )
        self.world = World()
        self.patch = patch("dispatcher.connection.unacknowledged", self.world.unacknowledged)
        self.patch.start()
        self.null = os.open(os.devnull, os.O_WRONLY)
        self.dispatcher = Dispatcher(
            self.settings, cast(Any, self.world), Log(self.null), cast(Any, self.world)
        )
        self.dispatcher.adopt = self.world.ends.__getitem__  # type: ignore[method-assign,assignment]
        self.dispatcher.open_socket = self.world.open_socket  # type: ignore[method-assign,assignment]
        self.dispatcher._limit_clients(10)
        self.dispatcher._start_accepting()
        self.dispatcher._rounds.start("round", self.world.now)
        self.session_timers = {timer for timers in self.dispatcher.phases.values() for timer in timers}
        self.clients: list[Client] = []
        self.pods: dict[int, tuple[str, Server]] = {}
        self.listed: dict[int, Endpoint] = {}
        self.uids = 0
        self.settle()
        for number in range(pods):
            self.pod_appears(number, True)

    def settle(self) -> None:
        """Let the dispatcher and the servers do what they can without time passing."""
        for _ in range(1000):
            self.world.turn(0)
            self.dispatcher._turn()
            for _, server in self.pods.values():
                server.step()
                assert server.loads() <= 1, "two sessions in a pod"
            for client in self.clients:
                if client.end.inbox and client.sent_when_answered is None:
                    client.sent_when_answered = client.sent
            if not self.world.busy:
                return
        raise AssertionError("it never comes to rest")

    # Clients

    @rule(text=st.sampled_from([b"", b"7", b"3\n", b"5 " + b"x" * 1500, b"9" + b"y" * LONGEST + b"\n"]))
    def client_connects(self, text: bytes) -> None:
        client = Client(len(self.clients), self.world.arrive())
        self.clients.append(client)
        self.say(client, text)
        self.settle()

    def say(self, client: Client, text: bytes) -> None:
        """Send as much as the network takes."""
        while text:
            try:
                taken = client.end.send(text)
            except (BlockingIOError, BrokenPipeError):
                return
            client.sent += text[:taken]
            text = text[taken:]

    def some(self, data: st.DataObject) -> Client | None:
        found = [client for client in self.clients if client.open and not client.fate]
        return data.draw(st.sampled_from(found)) if found else None

    @rule(data=st.data(), text=st.sampled_from([b"4", b"\n", b"2\n", b"z" * 900, b"w" * 2500 + b"\n"]))
    def client_sends(self, data: st.DataObject, text: bytes) -> None:
        if (client := self.some(data)) and not client.end.sent_end:
            self.say(client, text)
            self.settle()

    @rule(data=st.data())
    def client_half_closes(self, data: st.DataObject) -> None:
        if (client := self.some(data)) and not client.end.sent_end and not client.end.got_reset:
            client.end.shutdown(1)
            self.settle()

    @rule(data=st.data())
    def client_resets(self, data: st.DataObject) -> None:
        if client := self.some(data):
            client.end.reset()
            self.settle()

    @rule(data=st.data(), most=st.sampled_from([1, 700, 1_000_000]))
    def client_reads(self, data: st.DataObject, most: int) -> None:
        if client := self.some(data):
            client.read(most)
            self.settle()
            self.check_reply(client)

    def check_reply(self, client: Client) -> None:
        """Whatever ends in good order is a whole answer to the whole of this client's request."""
        if client.fate != "end" or client.received.startswith(b"error: "):
            return
        if not client.received:
            empty_is_done = self.settings.empty_reply is EmptyReply.DONE or self.settings.mode is Mode.STREAM
            assert empty_is_done or not client.sent.strip(), "an empty reply passes for an answer"
            return
        name, length, rest = client.received.split(b":", 2)
        assert rest.endswith(REPLY_END), "a part of a reply passes for the whole"
        assert rest.count(REPLY_END) == 1, "two replies in one"
        assert name
        to_end = self.settings.mode is Mode.REQUEST and self.settings.half_close
        if to_end and client.sent_when_answered is not None:
            meant = len(client.sent_when_answered.rstrip())
            assert int(length) >= meant, "the pod worked on a part of the request"

    # Pods

    def pod(self, data: st.DataObject, *, working: bool = False) -> Server | None:
        found = [server for _, server in self.pods.values() if server.alive and server.working >= working]
        return data.draw(st.sampled_from(found)) if found else None

    @rule(
        data=st.data(), size=st.sampled_from([0, 10, LONGEST]), ends=st.sampled_from(["end", "reset", "stay"])
    )
    def pod_answers(self, data: st.DataObject, size: int, ends: str) -> None:
        server = self.pod(data, working=True)
        if server is None or server.current is None:
            return
        reply = b"%s:%d:" % (server.name.encode(), len(server.request.rstrip())) + b"r" * size + REPLY_END
        while reply:
            self.settle()
            if server.current is None:
                return
            try:
                reply = reply[server.current.send(reply) :]
            except BlockingIOError:
                for client in self.clients:
                    client.read(400)
                self.world.now += 0.001
            except BrokenPipeError:
                break
            if size == LONGEST and ends == "reset" and len(reply) < size // 2:
                break
        if ends == "end":
            server.drop()
        elif server.current is not None:
            server.current.reset()
            server.drop()
        self.settle()

    @rule(data=st.data())
    def pod_ends_without_a_word(self, data: st.DataObject) -> None:
        if server := self.pod(data, working=True):
            server.drop()
            self.settle()

    @rule(data=st.data())
    def pod_dies(self, data: st.DataObject) -> None:
        if server := self.pod(data):
            server.die()
            self.settle()

    @rule(data=st.data())
    def client_resets_as_its_pod_dies(self, data: st.DataObject) -> None:
        if (client := self.some(data)) and (server := self.pod(data, working=True)):
            client.end.reset()
            server.alive = False  # its end is not seen yet
            self.world.turn(0)
            self.dispatcher._turn()
            server.die()
            self.settle()

    @rule(data=st.data(), deaf=st.booleans(), slow=st.booleans())
    def node_changes(self, data: st.DataObject, deaf: bool, slow: bool) -> None:
        if server := self.pod(data):
            server.deaf, server.slow = deaf, slow
            self.world.settle_connecting()
            self.settle()

    # Endpoints

    @rule(number=st.integers(0, 3), ready=st.sampled_from([True, True, False]))
    def pod_appears(self, number: int, ready: bool) -> None:
        """A new pod, perhaps on the address of another; one that is there already changes its readiness."""
        known = self.pods.get(number)
        if known is None or not known[1].alive:
            self.uids += 1
            self.pods[number] = (f"uid-{self.uids}", self.server(f"pod-{self.uids}"))
            self.world.servers[self.endpoint(number).host, 5501] = self.pods[number][1]
        self.listed[number] = self.endpoint(number, ready=ready)
        self.publish()

    def server(self, name: str) -> Server:
        return Server(name, reads_to_end=self.settings.half_close and self.settings.mode is Mode.REQUEST)

    def endpoint(self, number: int, **conditions: bool) -> Endpoint:
        uid, server = self.pods[number]
        return Endpoint(host=f"10.1.0.{number}", port=5501, name=server.name, uid=uid, **conditions)

    @precondition(lambda self: self.listed)
    @rule(data=st.data(), gone=st.booleans())
    def pod_leaves(self, data: st.DataObject, gone: bool) -> None:
        number = data.draw(st.sampled_from(sorted(self.listed)))
        if gone:
            del self.listed[number]
        else:
            self.listed[number] = self.endpoint(number, ready=False, terminating=True)
        self.publish()

    def publish(self) -> None:
        self.dispatcher.set_members(self.listed.values())
        self.settle()

    # Time

    @rule(seconds=st.sampled_from([0.001, 0.06, 0.12, 0.6, 3.1, 31.0, 70.0]))
    def time_passes(self, seconds: float) -> None:
        self.world.settle_connecting()
        self.world.now += seconds
        self.settle()

    # What must hold

    @invariant()
    def promises_are_kept(self) -> None:
        if hasattr(self, "dispatcher"):
            self.nothing_crashed()
            self.no_timer_outlives_its_phase()
            self.every_client_is_counted_once()
            self.bounds_hold()
            self.every_pod_is_what_it_is_said_to_be()
            self.nothing_waits_beside_an_idle_pod()

    def nothing_crashed(self) -> None:
        assert self.dispatcher.counters.crashes == 0

    def no_timer_outlives_its_phase(self) -> None:
        for phase, timers in self.dispatcher.phases.items():
            for relay in self.dispatcher._sessions:
                if relay.phase is phase:
                    for timer in self.session_timers:
                        assert timer in timers or not timer.runs(relay), f"{phase!r} with a timer of another"
        for timer in self.session_timers:
            for item in list(timer._deadlines):
                assert item in self.dispatcher._sessions

    def every_client_is_counted_once(self) -> None:
        counted = sum(self.dispatcher.counters.outcomes.values())
        uncounted = sum(relay.outcome is None for relay in self.dispatcher._sessions)
        assert counted + uncounted == self.dispatcher._numbers

    def bounds_hold(self) -> None:
        assert self.dispatcher.kept_replies == sum(
            len(relay.client.unsent) for relay in self.dispatcher._sessions
        )
        for relay in self.dispatcher._sessions:
            assert relay.phase is not Phase.CLOSED
            if relay.phase <= Phase.CONNECTING:
                assert len(relay.request.kept) <= self.settings.request_buffer

    def every_pod_is_what_it_is_said_to_be(self) -> None:
        """None is given up for ever: whoever has it will give it back."""
        for pod in self.dispatcher.scheduler.pods():
            relay = pod.session
            assert (pod.state is State.BUSY) == (relay is not None)
            assert pod.state is not State.PROBING or pod in self.dispatcher._probes
            if relay is not None and pod not in self.dispatcher._orphans:
                assert relay in self.dispatcher._sessions
                assert relay.pod is pod
                assert relay.phase in WITH_POD

    def nothing_waits_beside_an_idle_pod(self) -> None:
        scheduler = self.dispatcher.scheduler
        if scheduler.waiting_count and not scheduler.wake_at() <= self.world.now + self.settings.gather:
            assert not scheduler._idle, "a session waits beside an idle pod"

    def teardown(self) -> None:
        """In the end, with a pod that works and clients that read, everybody gets an answer."""
        if not hasattr(self, "dispatcher"):
            return
        try:
            self.finish()
        finally:
            self.patch.stop()
            os.close(self.null)

    def finish(self) -> None:
        for _, server in self.pods.values():
            if server.alive:
                server.die()
        self.uids += 1
        self.pods = {9: (f"uid-{self.uids}", self.server("last"))}
        self.world.servers[self.endpoint(9).host, 5501] = self.pods[9][1]
        self.listed = {9: self.endpoint(9)}
        self.publish()
        last = self.pods[9][1]
        for client in self.clients:
            if client.open and not client.fate and not client.end.sent_end and not client.end.got_reset:
                client.end.shutdown(1)
        for _ in range(120 + 30 * len(self.clients)):
            if not self.dispatcher._sessions:
                break
            self.world.settle_connecting()
            if last.working and last.current is not None:
                request = len(last.request.rstrip())
                with contextlib.suppress(BlockingIOError, BrokenPipeError):
                    last.current.send(b"last:%d:" % request + REPLY_END)
                last.drop()
            for client in self.clients:
                if client.open and not client.fate:
                    client.read(1_000_000)
                    self.check_reply(client)
                    if client.fate:
                        client.end.close()
            self.world.now += 0.3
            self.settle()
            self.nothing_crashed()
        assert not self.dispatcher._sessions, "somebody is never served"
        self.every_client_is_counted_once()
        assert self.dispatcher.kept_replies == 0
        assert not any(len(timer) for timer in self.session_timers)
        open_ends = [
            end for end in self.world.ends.values() if not end.closed and end.number in self.world.handlers
        ]
        assert not self.dispatcher._orphans or open_ends
        assert len(open_ends) == len(self.dispatcher._probes) + len(self.dispatcher._orphans)


TestMachine = Machine.TestCase
TestMachine.settings = settings(
    max_examples=int(os.environ.get("FUZZ_EXAMPLES", "60")),
    stateful_step_count=int(os.environ.get("FUZZ_STEPS", "40")),
    deadline=None,
    derandomize="FUZZ_EXAMPLES" not in os.environ,  # the same each time, but for `make fuzz`
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)
