"""What needs no program: values of TOML, listings of the cache, events."""

import datetime
import tempfile
import unittest
import unittest.mock
from pathlib import Path

import numpy

import intrada
from intrada import events, objects, optional, program, tables


class Values(unittest.TestCase):
    def test_a_value_is_written_as_toml_reads_it(self):
        for value, expected in [
            (True, "true"),
            (numpy.bool_(False), "false"),
            (3, "3"),
            (numpy.int64(3), "3"),
            (0.6, "0.6"),
            (numpy.float64(1e-4), "0.0001"),
            (float("-inf"), "-inf"),
            ('a "b"\n\x7f', '"a \\"b\\"\\n\\u007F"'),
            (["a", 1], '["a", 1]'),
            ({"a b": [1.5]}, '{ "a b" = [1.5] }'),
            (datetime.date(2020, 2, 3), "2020-02-03"),
        ]:
            self.assertEqual(program.toml(value), expected)
        with self.assertRaisesRegex(TypeError, "no values of type NoneType"):
            program.toml(None)

    def test_options_that_a_pipeline_has_in_common_are_given_in_one_way(self):
        given = program.arguments("p.toml", {"stages.rank.lambda": 0.5}, "my cache")
        self.assertEqual(given, ["p.toml", "--set", "stages.rank.lambda=0.5", "--cache", "my cache"])

    def test_a_missing_package_is_named_with_what_installs_it(self):
        with self.assertRaisesRegex(intrada.MissingPackage, "^a test needs no_such_package: pip install no_such_package$"):
            optional.need("no_such_package", "a test")

    def test_a_program_that_is_not_there_is_told(self):
        with unittest.mock.patch.dict("os.environ", {program.VARIABLE: "/no/such/program"}):
            with self.assertRaisesRegex(intrada.Error, "INTRADA_RUN names /no/such/program, which is no program"):
                program.find()


    def test_what_the_program_says_beside_its_answer_is_passed_on(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        stand_in = Path(folder.name, "intrada-run")
        stand_in.write_text('#!/bin/sh\necho "warning: $1" >&2\necho "[1]"\nexit $2\n')
        stand_in.chmod(0o755)
        with unittest.mock.patch.dict("os.environ", {program.VARIABLE: str(stand_in)}):
            with self.assertWarnsRegex(intrada.ProgramWarning, "^warning: inspect$"):
                self.assertEqual(program.ask(["inspect", "0"]), [1])
            for status, error in [("1", intrada.Error), ("2", intrada.PipelineError)]:
                with self.assertRaisesRegex(error, "^warning: inspect$"):
                    program.ask(["inspect", status])


class Listings(unittest.TestCase):
    def listing(self, *entries):
        body = b"".join(kind + digest + len(name).to_bytes(4, "little") + name for kind, digest, name in entries)
        return b"intrada listing 1\n" + body

    def test_a_listing_is_read_as_the_document_says(self):
        listing = self.listing((b"d", bytes([1] * 32), b"sub"), (b"f", bytes([2] * 32), "ä\n.png".encode()))
        found = dict(objects.entries(listing))
        self.assertEqual(found["sub"], ("d", "01" * 32))
        self.assertEqual(found["ä\n.png"], ("f", "02" * 32))

    def test_something_else_is_no_listing(self):
        with self.assertRaisesRegex(intrada.NoResult, "cache verify"):
            dict(objects.entries(b"intrada listing 2\n"))


class Events(unittest.TestCase):
    def test_a_field_of_a_later_version_is_kept_and_disturbs_nothing(self):
        line = {"event": "stage-waiting", "stage": "inter", "for": "process 7", "more": 1}
        event = events.parse(line)
        self.assertEqual(event, intrada.StageWaiting(raw=line, stage="inter", holder="process 7"))
        self.assertEqual(event.raw["more"], 1)

    def test_an_event_of_a_later_version_and_one_that_lacks_a_field_are_passed_on(self):
        for line in [{"event": "stage-dreamt", "stage": "a"}, {"event": "stage-started", "stage": "a"}]:
            event = events.parse(line)
            self.assertIsInstance(event, intrada.OtherEvent)
            self.assertEqual(event.raw, line)


class Tables(unittest.TestCase):
    def test_what_a_table_lacks_is_counted_and_named(self):
        stages = [unittest.mock.Mock() for _ in range(7)]
        for number, stage in enumerate(stages):
            stage.name = f"s{number}"
        with self.assertWarnsRegex(intrada.Incomplete, "7 of 9 stages have no result .*: s0, s1, s2, s3, s4, …$"):
            tables.warn_of_missing(stages, 9)


if __name__ == "__main__":
    unittest.main()
