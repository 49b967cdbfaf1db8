"""`intrada.load`, against folders like those of `intrada-run export` and stand-ins for ONNX Runtime and PyTorch.

The stand-ins show what is checked and passed on; that exported networks predict what they should is tested where they are
exported.
"""

import hashlib
import importlib.machinery
import json
import sys
import tempfile
import types
import unittest
import unittest.mock
from pathlib import Path

import numpy

import intrada

CONFIG = {"id2label": {"0": "road", "1": "sky"}, "palette": [[128, 64, 128], [70, 130, 180]]}
#: Predicts the lowest bits of red.
LOAD = "def network(device):\n    return device\n\ndef predict(pixels, device):\n    return pixels[:, :, 0] % 4\n"


class Session:
    """Of a model with two classes by its metadata, which predicts the lowest bits of red."""

    classes = '["road", "sky"]'

    def __init__(self, path, providers):
        if Path(path).read_bytes() != b"model":
            raise RuntimeError("not a model")

    def get_modelmeta(self):
        return types.SimpleNamespace(custom_metadata_map={"classes": self.classes})

    def get_outputs(self):
        return []

    def run(self, outputs, inputs):
        assert outputs == ["classes"] and inputs["image"].dtype == numpy.uint8
        return [inputs["image"][:, :, :, 0] % 4]


def stand_in(name, **contents):
    module = types.ModuleType(name)
    module.__spec__ = importlib.machinery.ModuleSpec(name, loader=None)
    module.__dict__.update(contents)
    return module


class Loading(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        runtime = stand_in("onnxruntime", InferenceSession=Session, get_available_providers=lambda: ["CPUExecutionProvider"])
        modules = {"onnxruntime": runtime, "torch": stand_in("torch")}
        patched = unittest.mock.patch.dict(sys.modules, modules)
        patched.start()
        self.addCleanup(patched.stop)
        self.write("config.json", json.dumps(CONFIG))

    def write(self, name, content):
        (self.folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())

    def write_sums(self):
        files = [path for path in self.folder.iterdir() if path.name != "SHA256SUMS"]
        lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files]
        self.write("SHA256SUMS", "".join(lines))

    def write_torch(self):
        for name, content in [("load.py", LOAD), ("model.py", ""), ("model.safetensors", b"weights")]:
            self.write(name, content)

    def refused(self, what):
        return self.assertRaisesRegex(intrada.NotANetwork, what)

    def test_onnx_runtime_is_taken_first_and_both_predict(self):
        self.write("model.onnx", b"model")
        self.write_torch()
        self.write_sums()
        pixels = numpy.zeros((2, 3, 3), numpy.uint8)
        pixels[0, 1, 0] = 5
        for options, backend in [({}, "onnx"), ({"backend": "torch"}, "torch")]:
            network = intrada.load(self.folder, **options)
            self.assertEqual((network.backend, network.classes), (backend, ["road", "sky"]))
            found = network.predict(pixels)
            self.assertEqual(found.tolist(), [[0, 1, 0], [0, 0, 0]])
            self.assertEqual(network.predict(numpy.stack([pixels, pixels])).shape, (2, 2, 3))

    def test_a_prediction_is_shown_in_the_classes_colours(self):
        try:
            import PIL  # noqa: F401
        except ImportError:
            self.skipTest("no Pillow")
        self.write("model.onnx", b"model")
        network = intrada.load(self.folder)
        picture = network.colour(numpy.array([[0, 1, 255]], numpy.uint8))
        self.assertEqual(numpy.asarray(picture).tolist(), [[[128, 64, 128], [70, 130, 180], [0, 0, 0]]])

    def test_a_picture_may_be_grey_or_turned_and_anything_else_is_refused(self):
        self.write("model.onnx", b"model")
        network = intrada.load(self.folder)
        self.assertEqual(network.predict(numpy.full((2, 3), 4, numpy.uint8)).tolist(), [[0] * 3] * 2)
        for wrong in [numpy.zeros((2, 3, 3), numpy.float32), numpy.zeros((2, 3, 4), numpy.uint8)]:
            with self.assertRaisesRegex(ValueError, "a picture is an array of uint8, height × width × 3"):
                network.predict(wrong)

    def test_a_flipped_byte_is_found_in_any_file_that_is_used(self):
        self.write("model.onnx", b"model")
        self.write_torch()
        self.write_sums()
        for name, options in [("model.onnx", {}), ("config.json", {}), ("model.safetensors", {"backend": "torch"})]:
            with self.subTest(name):
                path = self.folder / name
                before = path.read_bytes()
                path.write_bytes(bytes([before[0] ^ 1]) + before[1:])
                with self.refused(f"{name} was altered or damaged"):
                    intrada.load(self.folder, **options)
                path.write_bytes(before)

    def test_a_model_of_another_number_of_classes_is_refused(self):
        self.write("model.onnx", b"model")
        with unittest.mock.patch.object(Session, "classes", '["road", "sky", "tree"]'):
            with self.refused("model.onnx has 3 classes and config.json 2; they belong to two exports"):
                intrada.load(self.folder)
        network = intrada.load(self.folder)
        with self.refused("predicts class 3, but config.json has 2 classes"):
            network.predict(numpy.full((1, 1, 3), 3, numpy.uint8))

    def test_what_is_no_network_is_told_with_what_to_do(self):
        with self.refused("holds neither model.onnx nor load.py, model.py, model.safetensors"):
            intrada.load(self.folder)
        self.write("model.onnx", b"noise")
        with self.refused("model.onnx can't be loaded: not a model"):
            intrada.load(self.folder)
        with self.refused("was not exported with --as pytorch"):
            intrada.load(self.folder, backend="torch")
        for content, what in [("{", "config.json is no JSON"), ('{"id2label": {}}', "config.json lacks palette: only --as onnx and")]:
            self.write("config.json", content)
            with self.refused(what):
                intrada.load(self.folder)
        with self.refused("has no config.json, so it is no folder of `intrada-run export`"):
            intrada.load(self.folder / "nowhere")

    def test_without_a_runtime_both_ways_are_named(self):
        self.write("model.onnx", b"model")
        self.write_torch()
        with unittest.mock.patch("intrada.optional.has", return_value=False):
            with self.assertRaisesRegex(intrada.MissingPackage, "needs onnxruntime or torch: pip install onnxruntime$"):
                intrada.load(self.folder)
        with self.assertRaisesRegex(intrada.MissingPackage, "onnxruntime-gpu"):
            intrada.load(self.folder, device="cuda")


if __name__ == "__main__":
    unittest.main()
