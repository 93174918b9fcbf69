#!/usr/bin/env python3
"""Follows a Colophon's events: one line of JSON for each, checked against its published schema.

Whatever reads the topic has to do what `Follower` does: see README.md beside this file.
"""

import argparse
import json
import os
import re
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from jsonschema import Draft202012Validator

TYPE = re.compile(r"colophon\.([A-Za-z]+)\.v([1-9][0-9]*)")
PROGRESS = "colophon.Progress"


class Refused(Exception):
    """What was read cannot be gone on from; the message says what and where."""


@dataclass
class Message:
    """What is needed of a message of Kafka."""

    partition: int
    offset: int
    key: bytes | None
    headers: dict[str, str]
    payload: bytes | None

    @property
    def place(self) -> str:
        return f"partition {self.partition}, offset {self.offset}"

    def header(self, name: str) -> str:
        if name not in self.headers:
            raise Refused(f"{self.place}: no header {name}")
        return self.headers[name]

    def number(self, name: str) -> int:
        text = self.header(name)
        if not text.isascii() or not text.isdigit():
            raise Refused(f"{self.place}: {name} is no number: {text!r}")
        return int(text)


class Schemas:
    """The published schemas, each read when the first event of its version comes."""

    def __init__(self, directory: Path):
        self.directory = directory
        self.validators: dict[str, Draft202012Validator] = {}

    def check(self, message: Message, name: str, data: object) -> None:
        """Refuses data that do not follow the schema of a type's version."""
        said = message.header("ce_dataschema").rsplit("/", 1)[-1]
        if said != f"{name}.json":
            raise Refused(f"{message.place}: an event of {name} names {said} as its schema")
        if name not in self.validators:
            path = self.directory / said
            try:
                self.validators[name] = Draft202012Validator(json.loads(path.read_bytes()))
            except FileNotFoundError:
                raise Refused(
                    f"{message.place}: {name} is not known here: {path} is missing; get the schemas of the release that writes it"
                ) from None
        error = next(self.validators[name].iter_errors(data), None)
        if error is not None:
            raise Refused(f"{message.place}: {name} does not follow its schema at {error.json_path}: {error.message}")


@dataclass
class Reached:
    """How far a partition has come: all of `log` up to `position`."""

    log: str
    position: int
    # Since when something is missing, on the clock of whoever calls, and up to where; None while all is well.
    waiting_since: float | None = None
    missing_to: int | None = None


class Follower:
    """Decides what each message is: the next event, or one to pass over."""

    def __init__(self, schemas: Schemas, patience_s: float = 10.0):
        self.schemas = schemas
        self.patience_s = patience_s
        self.reached: dict[int, Reached] = {}

    def take(self, message: Message, now: float) -> dict | None:
        """The event, if it is the next one of its partition. Each message says that in its partition nothing lies between
        `ce_after` and `ce_position` but its event, or nothing at all."""
        if message.header("ce_specversion") != "1.0":
            raise Refused(f"{message.place}: CloudEvents {message.header('ce_specversion')} are not known here")
        log, after, position = message.header("ce_source"), message.number("ce_after"), message.number("ce_position")
        reached = self.reached.get(message.partition)
        if reached is None:
            # What came before the first message is not asked for.
            reached = self.reached[message.partition] = Reached(log, after)
        if reached.log != log:
            raise Refused(f"{message.place}: {log} is another log than {reached.log}: start again, as another group")
        if position <= reached.position:
            # A repeat: a relay that did not know how far it had come sent it again.
            return None
        if after > reached.position:
            # Something before it has not come. It comes again, in order, unless the topic no longer has it.
            if reached.waiting_since is None:
                reached.waiting_since, reached.missing_to = now, after
            return None
        event = None if message.header("ce_type") == PROGRESS else self.read(message, position)
        self.reached[message.partition] = Reached(log, position)
        return event

    def wait(self, now: float) -> None:
        """Refuses to go on where something has been missing for too long."""
        for partition, reached in self.reached.items():
            if reached.waiting_since is not None and now - reached.waiting_since > self.patience_s:
                raise Refused(
                    f"partition {partition}: what lies after position {reached.position} and up to {reached.missing_to} "
                    "is no longer in the topic: start again, as another group"
                )

    def read(self, message: Message, position: int) -> dict:
        matched = TYPE.fullmatch(message.header("ce_type"))
        if matched is None:
            raise Refused(f"{message.place}: ce_type is no event's: {message.header('ce_type')!r}")
        subject = message.header("ce_subject")
        if message.key != subject.encode():
            raise Refused(f"{message.place}: the key is {message.key!r}, the stream {subject}")
        try:
            data = json.loads(message.payload or b"")
        except ValueError as error:
            raise Refused(f"{message.place}: the payload is no JSON: {error}") from None
        event_type, version = matched[1], int(matched[2])
        self.schemas.check(message, f"{event_type}.v{version}", data)
        return {
            "position": position,
            "stream": subject,
            "revision": message.number("ce_revision"),
            "type": event_type,
            "version": version,
            "id": message.header("ce_id"),
            "time": message.headers.get("ce_time"),
            "data": data,
        }

    def remember(self, partition: int) -> str:
        """What is to be committed beside the offset, so that the next start knows how far this one came."""
        reached = self.reached[partition]
        return f"{reached.log} {reached.position}"

    def recall(self, partition: int, remembered: str | None) -> None:
        """Goes on from what was committed; anything else is as if nothing was."""
        self.reached.pop(partition, None)
        log, _, position = (remembered or "").rpartition(" ")
        if log and position.isdigit():
            self.reached[partition] = Reached(log, int(position))

    def is_past(self, partitions: list[int], position: int) -> bool:
        """Whether all partitions have come to a position."""
        return all(
            partition in self.reached and self.reached[partition].position >= position for partition in partitions
        )


def of_kafka(message) -> Message:
    """A message as the library has it."""
    headers = {}
    for name, value in message.headers() or []:
        try:
            headers[name] = (value or b"").decode()
        except UnicodeDecodeError:
            raise Refused(f"partition {message.partition()}, offset {message.offset()}: {name} is no text") from None
    return Message(message.partition(), message.offset(), message.key(), headers, message.value())


def said(error: KafkaException) -> str:
    """What Kafka says is wrong."""
    reason = error.args[0]
    return reason.str() if isinstance(reason, KafkaError) else str(reason)


class Run:
    """The loop: reads, has the follower decide, prints, and commits what was printed."""

    # Messages that are read, printed and committed together.
    BATCH = 500

    def __init__(self, options: argparse.Namespace, out=sys.stdout):
        self.options, self.out = options, out
        self.follower = Follower(Schemas(options.schemas), options.patience)
        self.partitions: list[int] = []
        self.printed = 0
        self.stopping = False
        self.consumer = Consumer(
            {
                "bootstrap.servers": options.brokers,
                "group.id": options.group,
                # Offsets are committed once their events have been dealt with, never before.
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "auto.offset.reset": "earliest",
                "error_cb": self.hear,
            }
        )

    def hear(self, error: KafkaError) -> None:
        """Brokers that come and go are retried by the library; they are told, and do not end this."""
        if error.fatal():
            raise KafkaException(error)
        print(f"consumer: {error.str()}", file=sys.stderr)

    def on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        # A partition may have come from another member of the group: what that one committed is where this one goes on.
        committed = consumer.committed(partitions, timeout=30)
        for partition in committed:
            if partition.error is not None:
                raise KafkaException(partition.error)
            self.follower.recall(partition.partition, partition.metadata)

    def end(self) -> bool:
        if self.printed == self.options.count:
            return True
        if self.options.until_position is None:
            return False
        if not self.partitions:
            topic = self.consumer.list_topics(self.options.topic, timeout=30).topics[self.options.topic]
            if topic.error is not None:
                raise KafkaException(topic.error)
            self.partitions = sorted(topic.partitions)
        return self.follower.is_past(self.partitions, self.options.until_position)

    def run(self) -> None:
        self.consumer.subscribe([self.options.topic], on_assign=self.on_assign)
        try:
            while not self.stopping and not self.end():
                self.step()
        finally:
            self.consumer.close()

    def step(self) -> None:
        offsets: dict[int, int] = {}
        try:
            for message in self.consumer.consume(self.BATCH, timeout=0.5):
                if message.error() is not None:
                    raise KafkaException(message.error())
                event = self.follower.take(of_kafka(message), time.monotonic())
                if event is not None:
                    print(json.dumps(event, ensure_ascii=False, separators=(",", ":")), file=self.out)
                    self.printed += 1
                offsets[message.partition()] = message.offset() + 1
                if self.printed == self.options.count:
                    break
            self.follower.wait(time.monotonic())
        finally:
            # What came before a message that is refused has been dealt with.
            self.out.flush()
            self.commit(offsets)

    def commit(self, offsets: dict[int, int]) -> None:
        if not offsets:
            return
        done = [
            TopicPartition(self.options.topic, partition, offset, self.follower.remember(partition))
            for partition, offset in offsets.items()
        ]
        try:
            self.consumer.commit(offsets=done, asynchronous=False)
        except KafkaException as error:
            # Such as a partition that went to another member meanwhile: it begins where the last commit was.
            print(f"consumer: not committed: {said(error)}", file=sys.stderr)


def options(arguments: list[str] | None = None) -> argparse.Namespace:
    schemas = Path(__file__).resolve().parents[2] / "schemas" / "json-schema"
    parser = argparse.ArgumentParser(description="Prints a Colophon's events, one line of JSON for each.")
    parser.add_argument("--brokers", default="127.0.0.1:9092", help="where Kafka is (%(default)s)")
    parser.add_argument("--topic", default="colophon.events", help="the topic (%(default)s)")
    parser.add_argument("--schemas", type=Path, default=schemas, help="the published schemas (those of this repository)")
    parser.add_argument("--group", default="example-consumer", help="the group: what it has dealt with is not printed again")
    parser.add_argument("--until-position", type=int, metavar="P", help="end once every partition has come to this position")
    parser.add_argument("--count", type=int, metavar="N", help="end after so many events")
    parser.add_argument("--patience", type=float, default=10.0, metavar="S", help="seconds to wait for what is missing (%(default)s)")
    chosen = parser.parse_args(arguments)
    if not chosen.schemas.is_dir():
        parser.error(f"{chosen.schemas} is no directory of schemas")
    return chosen


def main(arguments: list[str] | None = None) -> int:
    run = Run(options(arguments))

    def stop(_signal, _frame):
        run.stopping = True

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    try:
        run.run()
    except Refused as refusal:
        print(f"consumer: {refusal}", file=sys.stderr)
        return 1
    except KafkaException as error:
        print(f"consumer: {said(error)}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # Whoever read the lines has gone, and needs no more of them.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
