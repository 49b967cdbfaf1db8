"""Writes pth/*.pth, which src/ml/pth/tests.rs reads. Needs PyTorch (2.11 wrote those that are kept)."""
import argparse
import collections
import os
import pathlib
import pickle
import struct

import torch

FOLDER = pathlib.Path(__file__).parent / "pth"
COUNT = torch.arange(12.0).reshape(3, 4)


def state():
    named = collections.OrderedDict(
        [
            ("conv1.weight", COUNT / 8),
            ("bn1.num_batches_tracked", torch.tensor(-5_000_000_000)),
            ("turned", COUNT.t()),
            ("window", COUNT[1:, 1:3]),
            ("trained", torch.nn.Parameter(torch.tensor([0.5]))),
            ("half", torch.tensor([0.1, -2.0]).half()),
            ("brain", torch.tensor([0.1, -2.0]).bfloat16()),
            ("double", torch.tensor([0.1], dtype=torch.float64)),
            ("mask", torch.tensor([True, False])),
            ("bytes", torch.tensor([0, 255], dtype=torch.uint8)),
            ("nothing", torch.zeros(2, 0)),
        ]
    )
    named._metadata = collections.OrderedDict([("", {"version": 2})])
    return named


class Command:
    """What an attacker would put in."""

    def __reduce__(self):
        return os.system, ("touch executed",)


def training_record():
    wrapped = collections.OrderedDict(("module." + name, tensor) for name, tensor in state().items())
    optimizer = {"state": {0: {"momentum_buffer": torch.ones(2)}}, "param_groups": [{"lr": 0.1, "params": [0]}]}
    return {"epoch": 3, "state_dict": wrapped, "optimizer": optimizer, "args": argparse.Namespace(lr=1)}


class Python2(pickle._Pickler):
    """Texts as Python 2 wrote them, and storages as PyTorch 0.2 named them."""

    dispatch = dict(pickle._Pickler.dispatch)

    def save_bytestring(self, value):
        self.write(b"U" + struct.pack("B", len(value)) + value.encode())
        self.memoize(value)

    dispatch[str] = save_bytestring

    def persistent_id(self, value):
        if value == ("the storage",):
            return "storage", torch.FloatStorage, "140", "cuda:0", 4, ("141", 1, 3)
        return None


class Tensor02:
    def __reduce__(self):
        return torch._utils._rebuild_tensor, (("the storage",), 0, (3,), (1,))


def python2():
    with open(FOLDER / "python2.pth", "wb") as file:
        for head in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}):
            pickle.dump(head, file, protocol=2)
        Python2(file, protocol=2).dump(collections.OrderedDict([("Scale.conv1.weight", Tensor02())]))
        Python2(file, protocol=2).dump(["140"])
        file.write(struct.pack("<q4f", 4, 9, 1, 2, 3.5))


torch.save(state(), FOLDER / "zip.pth")
torch.save(state(), FOLDER / "zip-protocol-4.pth", pickle_protocol=4)
torch.save(state(), FOLDER / "row.pth", _use_new_zipfile_serialization=False)
torch.save(training_record(), FOLDER / "record-zip.pth")
torch.save(training_record(), FOLDER / "record-row.pth", _use_new_zipfile_serialization=False)
torch.save(training_record() | {"x": Command()}, FOLDER / "hostile-zip.pth")
torch.save(training_record() | {"x": Command()}, FOLDER / "hostile-row.pth", _use_new_zipfile_serialization=False)
python2()
