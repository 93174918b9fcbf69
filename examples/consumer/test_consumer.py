"""What the example consumer makes of a topic: its rule, and the program itself on a broker.

    python3 -m unittest discover examples/consumer

The broker is the one that KAFKA_BROKERS names; without it those tests are skipped.
"""

import json
import os
import subprocess
import sys
import tempfile
import unittest
import uuid
from pathlib import Path

import consumer
from consumer import Follower, Message, Refused, Schemas

HERE = Path(__file__).resolve().parent
SCHEMAS = HERE.parents[1] / "schemas" / "json-schema"
GOLDEN = HERE.parents[1] / "schemas" / "golden"
LOG = "/colophon/logs/3a86290a-a908-55b8-a3b5-2185ef2551fd"
STREAM = "stock-3a86290a-a908-55b8-a3b5-2185ef2551fd"


def fact(after: int, position: int, log: str = LOG) -> dict[str, str]:
    return {
        "ce_specversion": "1.0",
        "ce_source": log,
        "ce_after": str(after),
        "ce_position": str(position),
        "ce_factchecksum": "0" * 16,
    }


def event(after: int, position: int, name: str = "StockCounted.v1", partition: int = 0, **changes) -> Message:
    headers = fact(after, position) | {
        "ce_type": f"colophon.{name}",
        "ce_id": str(uuid.uuid5(uuid.NAMESPACE_URL, str(position))),
        "ce_subject": STREAM,
        "ce_dataschema": f"/schemas/{name}.json",
        "content-type": "application/json",
        "ce_revision": "1",
        "ce_time": "2026-11-28T12:00:00Z",
    }
    payload = changes.pop("payload", None) or (GOLDEN / f"{name}.json").read_bytes()
    key = changes.pop("key", STREAM.encode())
    return Message(partition, position, key, headers | changes, payload)


def progress(after: int, position: int, partition: int = 0, log: str = LOG) -> Message:
    headers = fact(after, position, log) | {"ce_type": "colophon.Progress", "ce_id": f"{partition}-{after}-{position}"}
    return Message(partition, position, None, headers, None)


class TheRule(unittest.TestCase):
    def setUp(self):
        self.follower = Follower(Schemas(SCHEMAS))

    def positions(self, *messages: Message) -> list[int]:
        taken = (self.follower.take(message, 0.0) for message in messages)
        return [event["position"] for event in taken if event is not None]

    def refusal(self, message: Message) -> str:
        with self.assertRaises(Refused) as refused:
            self.follower.take(message, 0.0)
        return str(refused.exception)

    def test_an_event_is_what_was_recorded(self):
        taken = self.follower.take(event(6, 7), 0.0)
        data = json.loads((GOLDEN / "StockCounted.v1.json").read_bytes())
        identity = {"position": 7, "stream": STREAM, "revision": 1, "type": "StockCounted", "version": 1}
        self.assertEqual(taken, identity | {"id": taken["id"], "time": "2026-11-28T12:00:00Z", "data": data})

    def test_every_golden_file_is_taken(self):
        names = [path.name.removesuffix(".json") for path in sorted(GOLDEN.glob("*.v*.json"))]
        self.assertGreater(len(names), 20)
        messages = [event(number, number + 1, name) for number, name in enumerate(names)]
        self.assertEqual(self.positions(*messages), list(range(1, len(names) + 1)))

    def test_progress_is_no_event_and_counts(self):
        self.assertEqual(self.positions(event(0, 2), progress(2, 5), event(5, 6)), [2, 6])

    def test_a_repeat_is_passed_over(self):
        batch = [event(0, 1), event(1, 3), progress(3, 4)]
        self.assertEqual(self.positions(*batch, *batch, event(4, 5)), [1, 3, 5])

    def test_two_relays_at_once_lose_nothing(self):
        one = [event(0, 1), event(1, 2), event(2, 3), progress(3, 3)]
        other = [event(0, 1), event(1, 2), progress(2, 2)]
        self.assertEqual(self.positions(one[0], *other[:2], one[1], one[2], other[2], one[3]), [1, 2, 3])

    def test_what_came_before_something_that_was_lost_is_passed_over_until_it_comes_again(self):
        first, second, third, fourth = (event(number, number + 1) for number in range(4))
        self.assertEqual(self.positions(first, third, fourth, second, third, fourth), [1, 2, 3, 4])
        self.follower.wait(1_000.0)

    def test_what_does_not_come_again_is_reported(self):
        self.follower.take(event(0, 1), 0.0)
        self.follower.take(event(4, 5), 1.0)
        self.follower.take(event(5, 6), 8.0)
        self.follower.wait(11.0)
        with self.assertRaisesRegex(Refused, "after position 1 and up to 4 is no longer in the topic"):
            self.follower.wait(11.1)

    def test_partitions_do_not_wait_for_each_other(self):
        self.assertEqual(self.positions(event(4, 5), event(0, 1, partition=1), event(5, 9)), [5, 1, 9])
        self.assertTrue(self.follower.is_past([0, 1], 1))
        self.assertFalse(self.follower.is_past([0, 1], 2))
        self.assertFalse(self.follower.is_past([0, 1, 2], 0))

    def test_another_log_is_refused(self):
        self.follower.take(event(0, 1), 0.0)
        other = progress(1, 2, log=LOG.replace("3a86", "4b97"))
        self.assertIn("is another log than", self.refusal(other))

    def test_a_start_goes_on_from_what_was_committed(self):
        self.follower.take(event(0, 7), 0.0)
        remembered = self.follower.remember(0)
        self.follower = Follower(Schemas(SCHEMAS))
        self.follower.recall(0, remembered)
        self.assertEqual(self.positions(event(0, 7), event(7, 8)), [8])
        for nothing in ["", None, "another program's", LOG, "7"]:
            self.follower.recall(0, nothing)
            self.assertNotIn(0, self.follower.reached)

    def test_data_that_do_not_follow_their_schema_are_refused(self):
        data = json.loads((GOLDEN / "StockCounted.v1.json").read_bytes()) | {"on_hand": "many"}
        refusal = self.refusal(event(0, 1, payload=json.dumps(data).encode()))
        self.assertIn("partition 0, offset 1: StockCounted.v1 does not follow its schema at $.on_hand", refusal)
        self.assertEqual(self.follower.remember(0), f"{LOG} 0")

    def test_a_version_that_is_not_known_is_named(self):
        headers = {"ce_type": "colophon.StockCounted.v9", "ce_dataschema": "/schemas/StockCounted.v9.json"}
        self.assertIn("StockCounted.v9 is not known here", self.refusal(event(0, 1, **headers)))

    def test_what_is_no_message_of_ours_is_refused(self):
        for message, reason in [
            (event(0, 1, ce_position="x"), "ce_position is no number"),
            (event(0, 1, ce_after="²"), "ce_after is no number"),
            (event(0, 1, ce_specversion="2.0"), "CloudEvents 2.0"),
            (event(0, 1, ce_type="StockCounted"), "ce_type is no event's"),
            (event(0, 1, ce_dataschema="/schemas/StockCounted.v2.json"), "names StockCounted.v2.json as its schema"),
            (event(0, 1, key=b"other"), "the key is b'other'"),
            (event(0, 1, payload=b"{"), "the payload is no JSON"),
            (Message(0, 1, None, {}, b"{}"), "no header ce_specversion"),
        ]:
            self.assertIn(reason, self.refusal(message))


@unittest.skipUnless("KAFKA_BROKERS" in os.environ, "no KAFKA_BROKERS")
class TheProgram(unittest.TestCase):
    def setUp(self):
        from confluent_kafka import Producer
        from confluent_kafka.admin import AdminClient, NewTopic

        self.brokers = os.environ["KAFKA_BROKERS"]
        self.topic = f"test-{uuid.uuid4().hex}"
        self.admin = AdminClient({"bootstrap.servers": self.brokers})
        self.admin.create_topics([NewTopic(self.topic, 3, 1)])[self.topic].result(30)
        self.producer = Producer({"bootstrap.servers": self.brokers, "enable.idempotence": True, "log_level": 3})

    def tearDown(self):
        self.admin.delete_topics([self.topic])[self.topic].result(30)

    def send(self, *messages: Message) -> None:
        def acknowledged(error, _message):
            self.assertIsNone(error)

        for message in messages:
            headers = [(name, value.encode()) for name, value in message.headers.items()]
            self.producer.produce(
                self.topic, message.payload, message.key, message.partition, on_delivery=acknowledged, headers=headers
            )
        self.assertEqual(self.producer.flush(30), 0)

    def run_it(self, *arguments: str, status: int = 0) -> tuple[list[dict], str]:
        command = [sys.executable, str(HERE / "consumer.py"), "--brokers", self.brokers, "--topic", self.topic]
        ran = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=120, check=False)
        self.assertEqual(ran.returncode, status, ran.stderr)
        return [json.loads(line) for line in ran.stdout.splitlines()], ran.stderr

    def test_each_event_is_printed_once_also_over_restarts(self):
        batch = [
            event(0, 1), event(1, 3), progress(3, 4),
            event(0, 2, "OrderShipped.v1", partition=1), event(2, 4, "OrderPlaced.v1", partition=1),
            progress(0, 4, partition=2),
        ]
        self.send(*batch)
        printed, _ = self.run_it("--until-position", "4")
        self.assertEqual(sorted(event["position"] for event in printed), [1, 2, 3, 4])
        # The same group has dealt with these, also when a relay sends them again.
        self.send(*batch)
        self.assertEqual(self.run_it("--until-position", "4")[0], [])
        self.send(*batch, event(4, 6), progress(4, 6, 1), progress(4, 6, 2))
        printed, _ = self.run_it("--until-position", "6")
        self.assertEqual([event["position"] for event in printed], [6])
        # Another group begins at the beginning.
        printed, _ = self.run_it("--until-position", "6", "--group", "other")
        self.assertEqual(sorted(event["position"] for event in printed), [1, 2, 3, 4, 6])

    def test_it_goes_on_after_the_last_event_that_it_printed(self):
        self.send(*(event(number, number + 1) for number in range(5)))
        printed = [self.run_it("--count", "2")[0], self.run_it("--count", "2")[0], self.run_it("--count", "1")[0]]
        self.assertEqual([[event["position"] for event in some] for some in printed], [[1, 2], [3, 4], [5]])

    def test_it_stops_before_an_event_that_it_does_not_know_and_goes_on_once_it_does(self):
        unknown = event(1, 2, ce_type="colophon.StockCounted.v9", ce_dataschema="/schemas/StockCounted.v9.json")
        self.send(event(0, 1), unknown, event(2, 3))
        printed, error = self.run_it("--count", "3", status=1)
        self.assertEqual([event["position"] for event in printed], [1])
        self.assertIn("StockCounted.v9 is not known here", error)
        with tempfile.TemporaryDirectory() as schemas:
            for name, source in [("StockCounted.v1", "StockCounted.v1"), ("StockCounted.v9", "StockCounted.v1")]:
                (Path(schemas) / f"{name}.json").write_bytes((SCHEMAS / f"{source}.json").read_bytes())
            printed, _ = self.run_it("--count", "2", "--schemas", schemas)
        self.assertEqual([(event["position"], event["version"]) for event in printed], [(2, 9), (3, 1)])

    def test_what_the_topic_lost_is_reported(self):
        self.send(event(0, 1), event(4, 5))
        printed, error = self.run_it("--count", "2", "--patience", "0.5", status=1)
        self.assertEqual([event["position"] for event in printed], [1])
        self.assertIn("partition 0: what lies after position 1 and up to 4 is no longer in the topic", error)

    def test_a_topic_that_is_not_there_is_named(self):
        _, error = self.run_it("--until-position", "1", "--topic", f"{self.topic}-not", status=1)
        self.assertIn("opic", error)

    def test_whoever_reads_the_lines_may_leave(self):
        self.send(*(event(number, number + 1) for number in range(2_000)))
        command = f"'{sys.executable}' '{HERE / 'consumer.py'}' --brokers {self.brokers} --topic {self.topic} | head -n 1"
        ran = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, timeout=120, check=False)
        self.assertEqual((ran.returncode, ran.stderr), (0, b""))


class TheCommandLine(unittest.TestCase):
    def test_a_directory_without_schemas_is_refused(self):
        with self.assertRaises(SystemExit), tempfile.TemporaryFile("w") as quiet:
            stderr, sys.stderr = sys.stderr, quiet
            try:
                consumer.options(["--schemas", "/nowhere"])
            finally:
                sys.stderr = stderr


if __name__ == "__main__":
    unittest.main()
