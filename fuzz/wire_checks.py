"""What has to hold for one input of the wire's readers; called as the two programs call them."""

from __future__ import annotations

import gzip
import io
import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

from common import flowlog
from common.errors import UserError, WireError
from common.flowlog import (
    FRAME_OVERHEAD,
    Batch,
    Damage,
    check_file_header,
    decode_frame,
    decode_payload,
    encode_frame,
    scan_frames,
)
from common.link import ACK, FRAME, HELLO, REFUSED, WELCOME, pack_answer, unpack_answer
from common.records import good_flow_row
from correlator.config import ChannelThresholds, FlowThresholds, Thresholds
from correlator.ingest.formats.detect import Format
from correlator.ingest.importer import Importer
from correlator.ingest.inputs import Input as Source
from correlator.ingest.inputs import opened
from correlator.ingest.peers import Message, Peers
from correlator.ingest.pipeline import Pipeline, Stored
from correlator.ingest.receiver import Accepted, Receiver, Refused
from correlator.store.database import Built, writing
from correlator.store.writer import Writer
from fuzz.wire_inputs import Corpus, Input
from fuzz.wire_seeds import NOW, SENSOR

_STORED_EVERY: Final = 6
_NAMED_FILE_EVERY: Final = 8
_PEERS: Final = 4
_LIMITS: Final = Thresholds(
    flow=FlowThresholds(bytes=1000, packets=10, duration_s=1),
    channel_period=ChannelThresholds(bytes=1000, packets=10, tcp_uptime_s=1),
)


class Finding(Exception):  # noqa: N818 - what it is called
    """A reader broke one of its promises."""


class Checks:
    """One round's readers, and what came of their inputs."""

    def __init__(self, corpus: Corpus, good_frames: Iterable[bytes], scratch: Path) -> None:
        self._corpus = corpus
        self._good = frozenset(good_frames)
        self._scratch = scratch
        self._row: type[Any] = good_flow_row()
        self._receiver = Receiver()
        for frame in corpus.header_frames.values():
            self._receiver.open_run(decode_frame(frame))
        self._flows = next(frame for frame in good_frames if frame not in corpus.header_frames.values())
        self._heard = Receiver()  # what hellos name, other receivers shall not know
        self._peers = Peers(_PEERS, self._heard.open_run, lambda _sensor, _run: 0, self._heard.knows)
        self._for_store: list[Batch | Refused] = []
        self.counts: Counter[str] = Counter()
        self._checks: dict[str, Callable[[Any, tuple[int, ...]], None]] = {
            "frame": self.frame, "log": self.log, "file": self.file, "answer": self.answer, "talk": self.talk,
        }  # fmt: skip

    def run(self, given: Input) -> None:
        """Check one input; Finding, or whatever a reader lets out."""
        self.counts[f"inputs: {given.kind}"] += 1
        self._checks[given.kind](given.data, given.intact)

    # ---- one frame -----------------------------------------------------------------------------------------
    def frame(self, data: bytes, _intact: tuple[int, ...] = ()) -> None:
        """A frame as the link delivers it: a batch or the one error."""
        try:
            batch = decode_frame(data)
        except WireError as error:
            self.counts[f"frames refused: {error.reason}"] += 1
        else:
            self.payload(batch, memoryview(data)[FRAME_OVERHEAD:])

    def payload(self, batch: Batch, data: memoryview) -> None:
        """Follow what a payload was decoded to, and compare it with what the other way of decoding makes of it.

        Refused payloads went both ways already: the general one has the last word.
        """
        self.counts["frames decoded"] += 1
        verdict = self.batch(batch)
        if batch.kind == "flow" and batch.records and type(batch.records[0]) is self._row:
            try:
                general = flowlog._any_batch(data)  # noqa: SLF001 - the way that is compared with
            except WireError as error:
                raise Finding(f"the general way refuses what is decoded at once: {error}") from error
            self._same(batch, general)
            if verdict is not None and verdict != self._judge(self._receiver, general):
                raise Finding("the two ways of decoding are judged differently")
        elif batch.kind == "flow" and batch.run == NOW and isinstance(verdict, Accepted) and not verdict.refused:
            ours = data[: len(flowlog._FLOW_BATCH)] == flowlog._FLOW_BATCH  # noqa: SLF001 - what is decoded at once
            self.counts[f"frames of good flows decoded the long way{', that begin as ours do' if ours else ''}"] += 1
        self._again(batch)

    def _same(self, batch: Batch, general: Batch) -> None:
        self.counts["frames decoded at once"] += 1
        if batch != general:
            raise Finding(f"the two ways of decoding differ: {batch[:-1]} and {general[:-1]}")
        for row, plain in zip(batch.records, general.records, strict=True):
            if list(map(type, row)) != list(map(type, plain)):
                raise Finding(f"the two ways of decoding give other types: {row} and {plain}")

    def _again(self, batch: Batch) -> None:
        """What was accepted, encoded again, is the same batch."""
        try:
            encoded = encode_frame(batch)
        except ValueError:  # nested deeper than is written, or fractions that were short
            self.counts["frames not encoded again"] += 1
            return
        # As bytes: they tell 1 from 1.0, one NaN is like the other, and what is nested deep can be compared.
        if encode_frame(decode_frame(encoded)) != encoded:
            raise Finding(f"encoded again it is another: {encoded[:300].hex()}")

    # ---- its records ---------------------------------------------------------------------------------------
    def batch(self, batch: Batch) -> Any:
        """Follow a decoded batch to its records."""
        if batch.kind == "header":
            self._open(batch)
            return None
        known = self._receiver.knows(batch.sensor, batch.run)
        asked = batch if known else batch._replace(sensor=SENSOR, run=NOW)
        verdict = self._judge(self._receiver, asked)
        if isinstance(verdict, Accepted):
            taken = verdict.taken
            if taken + verdict.refused.total() != len(batch.records):
                raise Finding(f"{len(batch.records)} records, {taken} accepted and {verdict.refused} refused")
            self.counts["records accepted"] += taken
            for reason, count in verdict.refused.items():
                self.counts[f"records refused: {reason}"] += count
            if taken and asked.run == NOW and asked.sequence and len(batch.records) < 10:
                self._for_store.append(asked)
        return verdict if known else None

    def _judge(self, receiver: Receiver, batch: Batch) -> Any:
        return receiver.judge(batch, max(0, batch.sequence - 1) if batch.sequence % 4 else 0)

    def _open(self, batch: Batch) -> None:
        """A header is taken or refused; what it names is then asked of a frame."""
        receiver = Receiver(max_runs=2)
        try:
            receiver.open_run(batch)
        except WireError as error:
            self.counts[f"headers refused: {error.reason}"] += 1
            return
        self.counts["headers accepted"] += 1
        flows = decode_frame(self._flows)._replace(sensor=batch.sensor, run=batch.run)
        self._judge(receiver, flows)

    # ---- flow logs -----------------------------------------------------------------------------------------
    def log(self, data: bytes, intact: tuple[int, ...]) -> None:
        """A flow log: frames and damage fill it, one after another, and no frame that is whole is passed over."""
        view = memoryview(data)
        try:
            at = check_file_header(view)
        except WireError as error:
            self.counts[f"logs refused: {error.reason}"] += 1
            return
        found: set[int] = set()
        hidden: set[int] = set()
        torn = False
        for item in scan_frames(view, at):
            if item.offset != at or torn:
                raise Finding(f"after offset {at} comes {item.offset}, torn: {torn}")
            if isinstance(item, Damage):
                torn = item.reason == "torn"
                at += item.length
                self.counts[f"logs: {item.reason}"] += 1
                continue
            found.add(at)
            if item.raw.tobytes() not in self._good:
                self._logged(item.payload)
            else:  # a frame whose last byte is lost may be made whole by the first one of the next, if they are equal
                hidden.update(range(at + len(item.raw) - 7, at + len(item.raw)))
            at += len(item.raw)
        missed = set(intact) - found
        if at != len(data) or not hidden.issuperset(missed):
            raise Finding(f"read to {at} of {len(data)}; the frames at {missed} were not found")
        self.counts["logs: frames found again"] += len(intact) - len(missed)

    def _logged(self, payload: memoryview) -> None:
        try:
            batch = decode_payload(payload)
        except WireError as error:
            self.counts[f"frames refused: {error.reason}"] += 1
        else:
            self.payload(batch, payload)

    def file(self, data: bytes, _intact: tuple[int, ...]) -> None:
        """A flow log as ``import`` reads it: from a file, or from a compressed one that it has to make out first."""
        importer = Importer(cast(Pipeline, _NoStore()), SENSOR, NOW, lambda _line: None)
        if self.counts["inputs: file"] % _NAMED_FILE_EVERY == 0:
            path = self._scratch / "fuzzed.flowlog"
            path.write_bytes(gzip.compress(data, 1) if len(data) % 2 else data)
            with suppress(UserError), opened(str(path)) as source:
                importer.run(source, lambda _offset: None)
        elif data:
            with open(os.memfd_create("fuzzed"), "w+b", buffering=0) as raw:
                raw.write(data)
                stream = cast(BinaryIO, raw)
                source = Source("fuzzed", Format.FLOW_LOG, io.BytesIO(data), stream, len(data))
                importer.run(source, lambda _offset: None)
        self.counts["files: records stored"] += importer.tally.stored
        self.counts["files: bad"] += importer.tally.bad

    # ---- the link ------------------------------------------------------------------------------------------
    def answer(self, parts: list[bytes], _intact: tuple[int, ...]) -> None:
        """An answer as the sensor reads it."""
        try:
            answer = unpack_answer(parts)
        except WireError as error:
            self.counts[f"answers refused: {error.reason}"] += 1
            return
        self.counts["answers accepted"] += 1
        if answer.kind in (WELCOME, ACK, REFUSED) and unpack_answer(pack_answer(*answer)) != answer:
            raise Finding(f"packed again it is another: {answer}")

    def talk(self, said: list[tuple[bytes, list[bytes]]], _intact: tuple[int, ...]) -> None:
        """Messages as the correlator reads them; what it answers is what a sensor reads."""
        deliveries, answers = self._peers.handle([Message(peer, parts) for peer, parts in said])
        verdicts = [self._heard.judge(batch, 0) for _, batch in deliveries]
        self._for_store += [batch for _, batch in deliveries if isinstance(batch, Refused)]
        answers = [*answers, *self._peers.answers(deliveries, verdicts)]
        given = [answer.parts for answer in answers]
        for parts in given:
            unpack_answer(parts)
        self.counts["answers given"] += len(answers)
        if len(deliveries) > sum(parts[:1] == [FRAME] for _, parts in said):
            raise Finding(f"{len(deliveries)} frames of {said!r:.300}")
        welcomes = sum(parts[0] in (WELCOME, ACK) for parts in given)
        if welcomes > len(deliveries) + sum(parts[:1] == [HELLO] for _, parts in said):
            raise Finding(f"{welcomes} acknowledged of {said!r:.300}")
        if len(self._peers._peers) > _PEERS:  # noqa: SLF001 - its bound
            raise Finding(f"{len(self._peers._peers)} peers are remembered")  # noqa: SLF001 - as above

    # ---- the store -----------------------------------------------------------------------------------------
    def store(self) -> None:
        """Commit some of what the round's readers took, and of what they refused, each as another sensor's."""
        path = self._scratch / "fuzzed.db"
        header = decode_frame(self._corpus.header_frames[NOW])
        path.unlink(missing_ok=True)
        with writing(path, Built(3600, 300)) as opened_store:
            pipeline = Pipeline(Writer(opened_store), _LIMITS)
            batches: list[Batch | Refused] = []
            for number, batch in enumerate(self._for_store[::_STORED_EVERY]):
                name = f"fuzz-{number}"
                pipeline.receiver.open_run(header._replace(sensor=name))
                batches.append(batch._replace(sensor=name, run=NOW))
            stored = pipeline.store_frames(batches, NOW)
        self.counts["records stored"] += stored.records


class _NoStore:
    """A pipeline that judges and keeps nothing."""

    def __init__(self) -> None:
        self.receiver = Receiver()

    def store_frames(self, frames: Sequence[Batch], _now_ns: int) -> Stored:
        """Judge frames as if nothing of their runs were stored."""
        verdicts = [self.receiver.judge(frame, 0) for frame in frames]
        accepted = [verdict for verdict in verdicts if isinstance(verdict, Accepted)]
        refused = sum((verdict.refused for verdict in accepted), Counter[str]())
        return Stored(verdicts, sum(verdict.taken for verdict in accepted), 0, refused, 0)
