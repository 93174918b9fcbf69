"""The two ways to start the distributed form on one machine agree with each other and with the program's configuration.

    python3 -m unittest discover deploy
"""

import re
import unittest
from pathlib import Path

import yaml

HERE = Path(__file__).resolve().parent
EXAMPLE = HERE.parent / "server" / "src" / "settings" / "example.toml"
OURS = re.compile(r"COLOPHON_[A-Z0-9_]+")


def known_variables() -> set[str]:
    """Every key of the configuration as an environment variable, also those that have no default."""
    section, variables = "", {"COLOPHON_DATA_DIR"}
    for line in EXAMPLE.read_text().splitlines():
        if header := re.fullmatch(r"\[([a-z_]+)\]", line):
            section = header[1]
        elif key := re.fullmatch(r"(?:# )?([a-z_]+) = .+", line):
            variables.add(f"COLOPHON_{section}__{key[1]}".upper())
    return variables


class Deploy(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.compose = yaml.safe_load((HERE / "compose.yaml").read_text())
        cls.script = (HERE / "cluster").read_text()
        cls.ours = {name: it for name, it in cls.compose["services"].items() if it["image"] == "colophon"}

    def processes(self) -> dict[str, tuple[list[str], bool]]:
        """Roles by name, and whether other nodes reach it, as the script's table has them."""
        rows = re.findall(r"^    '([a-z0-9-]+) \S+ (\S+) ([a-z ]+)'$", self.script, re.MULTILINE)
        return {name: (roles.split(), cluster != "-") for name, cluster, roles in rows}

    def test_both_start_the_same_processes(self):
        composed = {}
        for name, service in self.ours.items():
            run, *roles, listen, address = service["command"]
            self.assertEqual((run, listen, address), ("run", "--listen", "0.0.0.0:8080"), name)
            composed[name] = (roles, "COLOPHON_CLUSTER__LISTEN" in service["environment"])
        self.assertEqual(composed, self.processes())
        self.assertEqual(len(composed), 7)

    def test_every_variable_is_a_key_of_the_configuration(self):
        known = known_variables()
        self.assertIn("COLOPHON_SERVER__LISTEN", known)
        for name, service in self.ours.items():
            self.assertLessEqual(set(service["environment"]), known, name)
        # This one is the script's own.
        self.assertLessEqual(set(OURS.findall(self.script)) - {"COLOPHON_BINARY"}, known)

    def test_what_all_processes_share_is_given_to_all(self):
        shared = {
            "COLOPHON_POSTGRES__URL",
            "COLOPHON_KAFKA__BROKERS",
            "COLOPHON_AUTH__SIGNING_KEY_FILE",
            "COLOPHON_CLUSTER__SECRET",
            "COLOPHON_PAYMENTS__WEBHOOK_SECRET",
        }
        for name, service in self.ours.items():
            self.assertLessEqual(shared, set(service["environment"]), name)
            self.assertEqual(service["secrets"], ["signing_key"], name)
        for variable in shared:
            self.assertRegex(self.script, rf"\b{variable}=", variable)

    def test_nodes_are_reached_where_they_say(self):
        for name, service in self.ours.items():
            environment = service["environment"]
            if "COLOPHON_CLUSTER__LISTEN" in environment:
                _, port = environment["COLOPHON_CLUSTER__LISTEN"].rsplit(":", 1)
                self.assertEqual(environment["COLOPHON_CLUSTER__ADVERTISE"], f"{name}:{port}")

    def test_everything_waits_for_what_it_needs(self):
        for name, service in self.compose["services"].items():
            self.assertIn("test", service["healthcheck"], name)
        for name, service in self.ours.items():
            for needed in ["postgres", "kafka"]:
                self.assertEqual(service["depends_on"][needed]["condition"], "service_healthy", name)

    def test_data_lie_on_volumes_that_are_declared(self):
        mounted = {}
        for name, service in self.compose["services"].items():
            for volume in service.get("volumes", []):
                source, target = volume.split(":")
                self.assertIn(source, self.compose["volumes"], name)
                mounted[name] = target
        self.assertEqual(set(self.compose["volumes"]), set(mounted))
        self.assertEqual(mounted["kafka"], self.compose["services"]["kafka"]["environment"]["KAFKA_LOG_DIRS"])

    def test_ports_are_open_to_this_machine_only(self):
        published = [port for service in self.compose["services"].values() for port in service.get("ports", [])]
        self.assertEqual(len({port.split(":")[1] for port in published}), len(published))
        for port in published:
            self.assertTrue(port.startswith("127.0.0.1:"), port)

    def test_the_broker_is_the_one_of_the_tests(self):
        pom = (HERE.parent / "tests" / "services" / "pom.xml").read_text()
        version = re.search(r"<artifactId>kafka_[\d.]+</artifactId>\s*<version>([\d.]+)</version>", pom)[1]
        self.assertEqual(self.compose["services"]["kafka"]["image"], f"apache/kafka:{version}")


if __name__ == "__main__":
    unittest.main()
