"""The conductor in a time of its own: dialogues made for the case, a link that speaks at given moments."""

import asyncio
import itertools
from collections.abc import Coroutine, Generator
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.catalogue import Driver, Serial, frame_by_frame
from drivers.dialogue import Answer, Dialogue, Listen, Observe, Order, Report, Send, Step, listen
from gateway import conductor
from gateway.conductor import GAP_S, conduct
from gateway.links.replay import LeapingLoop
from protocol.checks import sum8
from protocol.errors import Lost, NoAnswer, StoreError, UnexpectedReply
from protocol.framing import Frame, Framer, LengthFramer, LineFramer, Noise
from protocol.readings import Event, Kind, Notice, Reading


@dataclass
class Line:
    """A link in memory: what is put in is read in order, one chunk a read; an empty chunk is the loss."""

    chunks: asyncio.Queue[bytes] = field(default_factory=asyncio.Queue)
    written: list[bytes] = field(default_factory=list)
    given_up: int = 0

    async def write(self, data: bytes) -> None:
        self.written.append(data)

    async def read(self) -> bytes:
        try:
            chunk = await self.chunks.get()
        except asyncio.CancelledError:
            self.given_up += 1
            raise
        if not chunk:
            raise Lost("pulled")
        return chunk

    async def close(self) -> None:
        """Nothing is held."""

    def says(self, *chunks: bytes) -> None:
        for chunk in chunks:
            self.chunks.put_nowait(chunk)

    def is_pulled(self) -> None:
        self.chunks.put_nowait(b"")


@dataclass
class Kept:
    """A sink that keeps everything, and may take its time to commit."""

    commit_s: float = 0.0
    told: list[object] = field(default_factory=list)
    fault: Exception | None = None

    async def report(self, reading: Reading) -> None:
        if self.fault:
            raise self.fault
        await asyncio.sleep(self.commit_s)
        self.told.append(reading)

    async def known(self, record: str) -> bool:
        return any(isinstance(item, Reading) and item.record == record for item in self.told)

    async def observe(self, event: Event) -> None:
        self.told.append(event)

    def noise(self, noise: Noise) -> None:
        self.told.append(noise)

    def all_bytes(self) -> bytes:
        """Return every byte told, in the order of telling."""
        found = [item for item in self.told if isinstance(item, Reading | Noise)]
        return b"".join(item.evidence[0] if isinstance(item, Reading) else item.data for item in found)

    def bytes_as_noise(self) -> bytes:
        return b"".join(item.data for item in self.told if isinstance(item, Noise))


def heard(frame: bytes) -> Reading:
    return Reading(Kind.BODY_SIZE, {}, (frame,), failed="test")


def driver(talk: "Generator[Step, Answer, None]", framer: type[Framer] = LineFramer) -> Driver:
    def framers() -> Framer:
        return framer()

    return Driver(
        name="test",
        title="test",
        models=(),
        kinds=(Kind.BODY_SIZE,),
        link=Serial(),
        framer=framers,
        decode=frame_by_frame(lambda _frame: ()),
        talk=lambda _settings: talk,
        grade="C",
        provenance="constructed",
        sources="",
        not_known=(),
    )


def reports(count: int, timeout: float | None = None) -> Dialogue:
    for _ in range(count):
        yield Report(heard((yield from listen(timeout)).data))


def in_own_time(work: Coroutine[object, object, None]) -> None:
    with asyncio.Runner(loop_factory=LeapingLoop) as runner:
        runner.run(work)


def now() -> float:
    return asyncio.get_running_loop().time()


def no_orders() -> asyncio.Queue[Order]:
    return asyncio.Queue()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 40), max_size=8), st.lists(st.sampled_from([0.0, 0.3, 0.9]), max_size=9))
def test_two_readings_in_any_chunks(cuts: list[int], pauses: list[float]) -> None:
    stream = b"\x00\xffnoise\r\nfirst reading\r\nsecond reading\r\n"
    edges = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    pieces = [stream[start:end] for start, end in itertools.pairwise(edges)]

    async def work() -> None:
        line, sink = Line(), Kept()

        async def device() -> None:
            for number, piece in enumerate(pieces):
                await asyncio.sleep(pauses[number] if number < len(pauses) else 0)
                line.says(piece)

        speaking = asyncio.create_task(device())
        await conduct(driver(reports(3)), {}, line, sink, no_orders())
        await speaking
        assert [item.evidence[0] for item in sink.told if isinstance(item, Reading)][1:] == [
            b"first reading\r",
            b"second reading\r",
        ]
        assert sink.all_bytes().rstrip(b"\n") == stream.rstrip(b"\n")

    in_own_time(work())


def test_a_timeout_is_told_as_none_and_on_time() -> None:
    def talk() -> Dialogue:
        assert (yield Listen(2.5)) is None
        assert (yield Listen(0)) is None
        yield Send(b"?")
        with pytest.raises(NoAnswer):
            yield from listen(3.0)

    async def work() -> None:
        began = now()
        await conduct(driver(talk()), {}, Line(), Kept(), no_orders())
        assert now() - began == pytest.approx(5.5)

    in_own_time(work())


def test_a_chunk_that_comes_with_the_timeout_is_not_lost() -> None:
    """The read is never given up, however the two moments fall."""

    def talk() -> Dialogue:
        found = []
        while len(found) < 20:
            answer = yield Listen(0.1)
            if isinstance(answer, Frame):
                found.append(answer.data)
        yield Report(heard(b"".join(found)))

    async def work() -> None:
        line, sink = Line(), Kept()

        async def device() -> None:
            for number in range(20):
                await asyncio.sleep(0.1)
                line.says(b"%02d\r" % number)

        speaking = asyncio.create_task(device())
        await conduct(driver(talk()), {}, line, sink, no_orders())
        await speaking
        assert sink.told == [heard(b"".join(b"%02d\r" % number for number in range(20)))]
        assert line.given_up == 1  # the one at the end

    in_own_time(work())


def test_listen_with_no_time_takes_what_is_already_there() -> None:
    def talk() -> Dialogue:
        yield Observe(Notice("started"))
        answer = yield Listen(0)
        assert isinstance(answer, Frame)
        assert answer.data == b"there\r"

    async def work() -> None:
        line = Line()
        line.says(b"there\r")
        await conduct(driver(talk()), {}, line, Kept(), no_orders())

    in_own_time(work())


class Checked(LengthFramer):
    """Start 0x55, length in the second byte, sum at the end."""

    def __init__(self) -> None:
        super().__init__(b"\x55", 2, lambda header: header[1] or None, lambda f: sum8(f[:-1]) == f[-1])


def test_silence_ends_a_false_start() -> None:
    good = bytes([0x55, 4, 7, 0x60])

    async def work() -> None:
        line, sink = Line(), Kept()
        began = now()

        async def device() -> None:
            line.says(b"\x55\xff\x01\x02")  # promises 255 bytes and falls silent
            await asyncio.sleep(GAP_S + 0.1)
            line.says(good)

        speaking = asyncio.create_task(device())
        await conduct(driver(reports(1), Checked), {}, line, sink, no_orders())
        await speaking
        assert [item for item in sink.told if isinstance(item, Reading)] == [heard(good)]
        assert sink.bytes_as_noise() == b"\x55\xff\x01\x02"
        assert now() - began < GAP_S + 0.2

    in_own_time(work())


def test_silence_gives_out_a_line_without_an_end() -> None:
    async def work() -> None:
        line, sink = Line(), Kept()
        line.says(b"no end")
        began = now()
        await conduct(driver(reports(1)), {}, line, sink, no_orders())
        assert sink.told == [heard(b"no end")]
        assert now() - began == pytest.approx(GAP_S)

    in_own_time(work())


def test_a_slow_sender_within_the_gap_is_not_cut() -> None:
    async def work() -> None:
        line, sink = Line(), Kept()

        async def device() -> None:
            for byte in b"slow\r":
                await asyncio.sleep(GAP_S - 0.05)
                line.says(bytes([byte]))

        speaking = asyncio.create_task(device())
        await conduct(driver(reports(1)), {}, line, sink, no_orders())
        await speaking
        assert sink.told == [heard(b"slow\r")]

    in_own_time(work())


def test_the_next_step_waits_for_the_commit() -> None:
    async def work() -> None:
        line, sink = Line(), Kept(commit_s=4.0)

        def talk() -> Dialogue:
            frame = yield from listen()
            yield Report(heard(frame.data))
            assert sink.told == [heard(b"one\r")]
            yield Send(b"received")

        line.says(b"one\r")
        conducting = asyncio.create_task(conduct(driver(talk()), {}, line, sink, no_orders()))
        await asyncio.sleep(3.9)
        assert line.written == []
        await conducting
        assert line.written == [b"received"]

    in_own_time(work())


def test_a_commit_that_fails_ends_the_conversation_unacknowledged() -> None:
    closed = []

    def talk() -> Dialogue:
        try:
            yield Report(heard((yield from listen()).data))
            yield Send(b"received")
        finally:
            closed.append(True)

    async def work() -> None:
        line = Line()
        line.says(b"one\r")
        with pytest.raises(StoreError):
            await conduct(driver(talk()), {}, line, Kept(fault=StoreError("full")), no_orders())
        assert line.written == []
        assert closed == [True]

    in_own_time(work())


def test_orders_wait_until_the_dialogue_takes_them() -> None:
    taken: list[Answer] = []

    def talk() -> Dialogue:
        taken.append((yield Listen(1.0)))
        taken.append((yield Listen(1.0, orders=True)))
        taken.append((yield Listen(1.0, orders=True)))
        taken.append((yield Listen(1.0)))

    async def work() -> None:
        line, orders = Line(), no_orders()
        orders.put_nowait(Order("start"))
        await conduct(driver(talk()), {}, line, Kept(), orders)
        assert taken == [None, Order("start"), None, None]

    in_own_time(work())


def test_an_order_reaches_a_dialogue_that_waits_and_before_the_frames() -> None:
    taken: list[Answer] = []

    def talk() -> Dialogue:
        taken.append((yield Listen(orders=True)))
        taken.append((yield Listen(orders=True)))
        yield Send(b"?")
        taken.append((yield Listen(1.0)))
        taken.append((yield Listen(1.0, orders=True)))
        taken.append((yield Listen(1.0, orders=True)))

    async def work() -> None:
        line, orders = Line(), no_orders()

        async def person() -> None:
            await asyncio.sleep(5)
            orders.put_nowait(Order("first"))
            await asyncio.sleep(5)
            line.says(b"a\rb\r")
            orders.put_nowait(Order("second"))

        asking = asyncio.create_task(person())
        await conduct(driver(talk()), {}, line, Kept(), orders)
        await asking
        assert taken == [Order("first"), Order("second"), Frame(b"a\r"), Frame(b"b\r"), None]

    in_own_time(work())


def test_a_bounded_wait_ends_though_frames_keep_coming() -> None:
    found: list[Answer] = []

    def talk() -> Dialogue:
        yield Observe(Notice("before"))
        yield Send(b"stop")
        while (answer := (yield Listen(1.0, within=2.05))) is not None:
            found.append(answer)
        found.append((yield Listen(1.0)))

    async def work() -> None:
        line = Line()

        async def device() -> None:
            for number in range(100):
                line.says(b"%d\r" % number)
                await asyncio.sleep(0.2)

        speaking = asyncio.create_task(device())
        began = now()
        await conduct(driver(talk()), {}, line, Kept(), no_orders())
        speaking.cancel()
        assert now() - began < 2.3
        assert found == [Frame(b"%d\r" % number) for number in range(12)]

    in_own_time(work())


def test_a_loss_comes_after_everything_that_was_heard() -> None:
    async def work() -> None:
        line, sink = Line(), Kept(commit_s=1.0)
        line.says(b"one\rtwo\r", b"half")
        line.is_pulled()
        with pytest.raises(Lost):
            await conduct(driver(reports(9)), {}, line, sink, no_orders())
        assert sink.told == [heard(b"one\r"), heard(b"two\r"), Noise(b"half", "not asked for")]

    in_own_time(work())


def test_a_dialogue_may_report_what_it_holds_when_the_link_is_lost_and_do_nothing_else() -> None:
    def holds() -> Dialogue:
        held = yield from listen()
        try:
            yield Listen(8.0)
        except Lost:
            yield Report(heard(held.data))
            yield Send(b"more")
            yield Report(heard(b"never"))

    async def work() -> None:
        line, sink = Line(), Kept()
        line.says(b"one\r")
        line.is_pulled()
        with pytest.raises(Lost):
            await conduct(driver(holds()), {}, line, sink, no_orders())
        assert sink.told == [heard(b"one\r")]
        assert line.written == []

    in_own_time(work())


def test_what_nobody_asked_for_is_kept_as_noise() -> None:
    def talk() -> Dialogue:
        yield from listen()
        yield Observe(Notice("refused"))
        raise UnexpectedReply("not this one")

    async def work() -> None:
        line, sink = Line(), Kept()
        line.says(b"one\rtwo\r", b"three\rfo")
        with pytest.raises(UnexpectedReply):
            await conduct(driver(talk()), {}, line, sink, no_orders())
        left = sink.bytes_as_noise() + b"".join(line.chunks.get_nowait() for _ in range(line.chunks.qsize()))
        assert left == b"two\rthree\rfo"

    in_own_time(work())


def test_cancelling_closes_the_dialogue() -> None:
    closed = []

    def talk() -> Dialogue:
        try:
            yield Listen(orders=True)
        finally:
            closed.append(True)

    async def work() -> None:
        line = Line()
        conducting = asyncio.create_task(conduct(driver(talk()), {}, line, Kept(), no_orders()))
        await asyncio.sleep(1)
        line.says(b"last wo")
        conducting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await conducting
        assert closed == [True]
        assert asyncio.all_tasks() == {asyncio.current_task()}

    in_own_time(work())


def test_settings_reach_the_dialogue() -> None:
    got = []

    def talk(given: object) -> Dialogue:
        got.append(given)
        yield Listen(0)

    async def work() -> None:
        told = replace(driver(reports(0)), talk=talk)
        await conduct(told, {"download": False}, Line(), Kept(), no_orders())
        assert got == [{"download": False}]

    in_own_time(work())


def test_a_device_that_says_much_at_once_lets_the_others_have_their_turn(monkeypatch) -> None:
    monkeypatch.setattr(conductor, "TURN_S", -1.0)  # in this loop's time, work takes none
    frames, turns = 1000, list[int]()

    def talk() -> Dialogue:
        for _ in range(frames):
            said = yield from listen(None)
            yield Observe(Notice(said.data.decode()))

    async def work() -> None:
        line, sink = Line(), Kept()

        async def other() -> None:
            while len(sink.told) < frames:
                turns.append(len(sink.told))
                await asyncio.sleep(0)
            turns.append(frames)

        line.says(b"x\r\n" * frames)
        beside = asyncio.create_task(other())
        await conduct(driver(talk()), {}, line, sink, no_orders())
        await beside

    in_own_time(work())
    assert max(after - before for before, after in itertools.pairwise(turns)) < 10
