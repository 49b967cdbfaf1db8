"""Results and runs of a real pipeline, which tests/it/python.rs has run: its folder is in INTRADA_TEST_SPACE.

What a table holds is compared with the files in `runs/`, read here in another way.
"""

import csv
import json
import os
import signal
import tempfile
import threading
import time
import unittest
from pathlib import Path

import numpy

import intrada

SPACE = os.environ.get("INTRADA_TEST_SPACE")
NETWORKS = ["inter", "intra"]


def has(module):
    try:
        __import__(module)
    except ImportError:
        return False
    return True


@unittest.skipUnless(SPACE, "INTRADA_TEST_SPACE names no workspace")
class InSpace(unittest.TestCase):
    def setUp(self):
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(SPACE)
        # A table without pandas is one of polars, and a test without both is skipped.
        self.frames = next((name for name in ("pandas", "polars") if has(name)), None)

    def runs(self, path):
        return Path(SPACE, "runs/p", path)

    def rows(self, frame):
        """The rows of a frame, a missing value as None."""
        if hasattr(frame, "to_dicts"):
            return frame.to_dicts()
        return [{key: None if value != value else value for key, value in row.items()} for row in frame.to_dict("records")]

    def opened(self, **options):
        if self.frames is None:
            self.skipTest("neither pandas nor polars")
        return intrada.open("p.toml", **options)


class Results(InSpace):
    def test_stages_are_told_in_order_with_what_they_read(self):
        pipeline = intrada.open("p.toml")
        self.assertEqual(list(pipeline), ["inter", "entropy", "rank", "pseudo", "intra", "evaluate"])
        self.assertTrue(all(stage.is_done for stage in pipeline.values()))
        self.assertEqual(pipeline.classes[0], intrada.Class("sky", (70, 130, 180)))
        rank = pipeline["rank"]
        self.assertEqual((rank.kind, rank.parameters["lambda"]), ("ranking", 0.67))
        self.assertEqual(rank.inputs[0], {"key": "scores", "stage": "entropy", "output": "scores"})
        self.assertEqual([network.name for network in pipeline["evaluate"].networks], NETWORKS)
        self.assertEqual(rank.read("ranking"), self.runs("rank/ranking.csv").read_bytes())

    def test_tables_hold_what_the_files_do(self):
        pipeline = self.opened()
        metrics = json.loads(self.runs("evaluate/metrics.json").read_text())
        rows = self.rows(pipeline.metrics())
        self.assertEqual([(row["network"], row["miou"]) for row in rows], [(name, metrics[name]["miou"]) for name in NETWORKS])
        self.assertEqual({row["dataset"] for row in rows}, {"test"})
        iou = {(row["network"], row["class"]): row["iou"] for row in self.rows(pipeline.iou())}
        self.assertEqual(iou, {(name, label): metrics[name]["iou"][label] for name in NETWORKS for label in metrics[name]["iou"]})
        confusion = [list(row.values())[1:] for row in self.rows(pipeline.confusion("evaluate", "intra"))]
        self.assertEqual(confusion, metrics["intra"]["confusion"])
        images = [json.loads(line) for line in self.runs("evaluate/images.jsonl").read_text().splitlines()]
        expected = [(line["image"], name, line["miou"][name], line["entropy"][name]) for line in images for name in NETWORKS]
        found = [(row["image"], row["network"], row["miou"], row["entropy"]) for row in self.rows(pipeline.images())]
        self.assertEqual(found, expected)
        summed = {}
        for row in self.rows(pipeline.pixels()):
            both, union = summed.get((row["network"], row["class"]), (0, 0))
            union += row["truth"] + row["prediction"] - row["intersection"]
            summed[row["network"], row["class"]] = (both + row["intersection"], union)
        self.assertEqual({of: both / union if union else None for of, (both, union) in summed.items()}, iou)
        losses = [json.loads(line) for line in self.runs("intra/losses.jsonl").read_text().splitlines()]
        found = [{key: value for key, value in row.items() if value is not None} for row in self.rows(pipeline.losses(["intra"]))]
        self.assertEqual(found, [{"stage": "intra", **line} for line in losses])
        with self.runs("rank/ranking.csv").open(newline="") as file:
            expected = [(row["image"], float(row["score"]), row["split"]) for row in csv.DictReader(file)]
        ranking = self.rows(pipeline.rankings())
        self.assertEqual([(row["image"], row["score"], row["split"]) for row in ranking], expected)
        self.assertEqual([row["place"] for row in ranking], list(range(1, 11)))
        with self.runs("entropy/scores.csv").open(newline="") as file:
            expected = [(row["image"], float(row["mean_entropy"])) for row in csv.DictReader(file)]
        self.assertEqual([(row["image"], row["mean_entropy"]) for row in self.rows(pipeline.scores())], expected)

    def test_snapshots_have_their_scores_and_each_choice_its_regret(self):
        pipeline = self.opened()
        lines = [json.loads(line) for line in self.runs("intra/candidates.jsonl").read_text().splitlines()]
        evaluated = [json.loads(line) for line in self.runs("intra/evaluations.jsonl").read_text().splitlines()]
        miou = {line["iteration"]: line["miou"] for line in evaluated}
        rows = self.rows(pipeline.candidates())
        self.assertEqual(rows, [{"stage": "intra", **line, "miou": miou[line["iteration"]]} for line in lines])
        choices = {row["choice"]: row for row in self.rows(intrada.choices("p.toml", frames=self.frames))}
        self.assertEqual(list(choices), ["agreement", "entropy", "soft_neighbourhood_density", "last", "chance"])
        self.assertEqual([name for name, row in choices.items() if row["is_used"]], ["entropy"])
        chosen = min(lines, key=lambda line: line["entropy"])["iteration"]
        entropy = choices["entropy"]
        self.assertEqual((entropy["iteration"], entropy["miou"]), (chosen, miou[chosen]))
        self.assertAlmostEqual(entropy["regret"], max(miou.values()) - miou[chosen])
        self.assertEqual((entropy["scored_on"], entropy["evaluated_on"]), ("target", "test"))
        with self.assertRaisesRegex(intrada.PipelineError, "candidates_every"):
            intrada.choices("p.toml", stages=["inter"])

    def test_frames_of_both_libraries_hold_the_same(self):
        if not (has("pandas") and has("polars")):
            self.skipTest("needs pandas and polars")
        both = [self.opened(frames=name) for name in ("pandas", "polars")]
        for table in ("table", "parameters", "metrics", "iou", "images", "losses", "candidates", "scores", "rankings"):
            one, other = (self.rows(getattr(pipeline, table)()) for pipeline in both)
            self.assertEqual(one, other, table)

    def test_pictures_are_the_files(self):
        if not has("PIL"):
            self.skipTest("no Pillow")
        from PIL import Image

        pipeline = intrada.open("p.toml")
        entropy = pipeline["entropy"]
        self.assertEqual(len(entropy.predictions), 10)
        for maps, folder in [(entropy.predictions, "entropy/predictions"), (entropy.entropy, "entropy/entropy")]:
            expected = numpy.asarray(Image.open(self.runs(f"{folder}/scene-00003.png")))
            for name in ("scene-00003", "scene-00003.png", "scene-00003.jpg"):
                self.assertTrue((maps[name] == expected).all())
        share = entropy.entropy.entropy("scene-00003")
        self.assertTrue((numpy.rint(share * 255) == entropy.entropy["scene-00003"]).all())
        easy = self.runs("rank/easy_split.txt").read_text().split()
        self.assertEqual(len(pipeline["pseudo"].labels), len(easy))
        coloured = numpy.asarray(pipeline["pseudo"].labels.coloured(easy[0]))
        written = numpy.asarray(Image.open(self.runs(f"pseudo/colour/{easy[0]}.png")).convert("RGB"))
        self.assertTrue((coloured == written).all())
        for wrong in [lambda: entropy.entropy.coloured("scene-00003"), lambda: entropy.predictions.entropy("scene-00003")]:
            with self.assertRaises(ValueError):
                wrong()
        self.assertEqual(entropy.photographs["scene-00003"].shape[2], 3)
        self.assertNotIn("scene-99999", entropy.predictions)
        with self.assertRaisesRegex(KeyError, "has no picture of 'scene-99999'; it has 10, such as "):
            entropy.predictions["scene-99999"]

    def test_results_of_another_version_of_the_file_are_none(self):
        pipeline = self.opened(set={"stages.rank.lambda": 0.5})
        self.assertEqual([name for name in pipeline if pipeline[name].is_done], ["inter", "entropy"])
        with self.assertRaisesRegex(intrada.NoResult, "`rank` has no result of the current file: lambda 0.67 → 0.5; run it: "):
            pipeline["rank"].read("ranking")
        with self.assertWarnsRegex(intrada.Incomplete, "^1 of 2 stages have no result of the current file .*: intra$"):
            self.assertEqual({row["stage"] for row in self.rows(pipeline.losses())}, {"inter"})

    def test_results_come_from_the_cache_when_the_views_are_gone(self):
        aside = Path(SPACE, "aside")
        Path(SPACE, "runs").rename(aside)
        try:
            pipeline = self.opened()
            self.assertEqual(pipeline["evaluate"].decision, "hit")
            self.assertEqual(len(self.rows(pipeline.metrics())), 2)
        finally:
            aside.rename(Path(SPACE, "runs"))

    def test_a_comparison_has_the_numbers_of_the_tables(self):
        pipeline = self.opened()
        compared = pipeline.compare()
        self.assertEqual(compared.against, "inter")
        miou = {row["network"]: row["miou"] for row in self.rows(pipeline.metrics())}
        self.assertEqual({row["weights"]: row["miou"] for row in self.rows(compared.table())}, miou)
        self.assertLess({"difference", "difference_low", "difference_high", "gain"}, set(self.rows(compared.table())[0]))
        with self.assertRaisesRegex(intrada.PipelineError, "--against x: none of these evaluations measures it"):
            pipeline.compare(against="x")

    def test_what_is_asked_wrongly_is_told(self):
        pipeline = self.opened()
        for wrong, error, what in [
            (lambda: pipeline["intar"], KeyError, "has no stage `intar`; it has inter, entropy, "),
            (lambda: pipeline["rank"].read("model"), intrada.NoResult, "which has no output `model`; it has easy, hard, ranking"),
            (lambda: pipeline["entropy"].read("entropy"), intrada.NoResult, "is a folder: read it with .maps"),
            (lambda: pipeline.losses(["rank"]), intrada.NoResult, "`rank` is of kind ranking, which has no output `losses`"),
            (lambda: pipeline.confusion("evaluate", "x"), intrada.NoResult, "does not measure `x`; it measures inter, intra"),
            (lambda: intrada.open("nowhere.toml"), intrada.PipelineError, "nowhere.toml does not exist"),
            (lambda: intrada.open("p.toml", frames="excel"), ValueError, "frames of pandas or polars"),
        ]:
            with self.assertRaisesRegex(error, what):
                wrong()


class Runs(InSpace):
    def pipeline(self, *shell):
        """A pipeline of commands in a workspace of its own."""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        stages = "".join(
            f"[stages.s{number}]\nkind = 'command'\nshell = '''{line}'''\noutputs = ['s{number}']\n" for number, line in enumerate(shell)
        )
        path = Path(folder.name, "c.toml")
        path.write_text("format = 1\n" + stages)
        return path

    def test_a_run_is_told_as_it_goes(self):
        path = self.pipeline("true > s0", "true > s1")
        events = list(intrada.run(path, ["s1"]))
        self.assertEqual([type(event) for event in events[-2:]], [intrada.StageFinished, intrada.RunFinished])
        self.assertEqual([event.stage for event in events if isinstance(event, intrada.StageStarted)], ["s1"])
        self.assertEqual((events[-1].ran, events[-1].failed), (1, 0))
        finished = intrada.run(path, set={"pipeline.threads": 1}).wait()
        self.assertEqual((finished.ran, finished.up_to_date), (1, 1))

    def test_a_failure_raises_with_the_stage_s_message_and_log(self):
        run = intrada.run(self.pipeline("echo no such luck >&2; exit 7", "true > s1"))
        with self.assertRaisesRegex(intrada.StageFailed, "`s0` failed: .*exit status 7(.|\n)*no such luck") as raised:
            list(run)
        self.assertEqual([failure.stage for failure in raised.exception.failures], ["s0"])
        self.assertEqual(run.result.ran, 1)

    def test_a_wrong_file_raises_with_what_the_program_says(self):
        path = self.pipeline("true")
        with self.assertRaisesRegex(intrada.PipelineError, "no such key in .pipeline."):
            intrada.run(path, set={"pipeline.jobbs": 3}).wait()

    def test_a_closed_run_is_interrupted_and_its_command_ended(self):
        path = self.pipeline("echo $$ > began; sleep 600; true > s0")
        with intrada.run(path) as run:
            next(run)
            self.until((path.parent / "began").exists)
        self.assertEqual(list(run), [])
        with self.assertRaises(ProcessLookupError):
            os.kill(int((path.parent / "began").read_text()), 0)

    def test_ctrl_c_interrupts_the_run_and_is_passed_on(self):
        path = self.pipeline("true > began; sleep 600; true > s0")
        run = intrada.run(path)

        def press():
            self.until((path.parent / "began").exists)
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        self.addCleanup(signal.signal, signal.SIGINT, before)
        presser = threading.Thread(target=press)
        presser.start()
        with self.assertRaises(KeyboardInterrupt):
            list(run)
        presser.join()
        self.assertIsNotNone(run._process.poll())

    def test_a_run_that_another_program_interrupts_raises(self):
        path = self.pipeline("true > began; sleep 600; true > s0")
        run = intrada.run(path)
        self.until((path.parent / "began").exists)
        run.interrupt()
        with self.assertRaises(intrada.Interrupted):
            list(run)

    def until(self, is_so):
        end = time.monotonic() + 60
        while not is_so():
            self.assertLess(time.monotonic(), end)
            time.sleep(0.01)


if __name__ == "__main__":
    unittest.main()
