"""Writes pth/*.pth, which src/ml/pth/tests.rs reads. Needs PyTorch and NumPy (2.11 and 2.4 wrote those that are kept)."""
import argparse
import collections
import os
import pathlib
import pickle
import struct

import numpy
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


class Net(torch.nn.Module):
    """A network that is saved whole, with its code."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(2))


class Scaled(torch.Tensor):
    """A class of tensors of somebody's own."""


class Wrapper:
    """A tensor without elements of its own, as it is saved."""

    def __reduce__(self):
        described = (torch.float32, (2,), (1,), 0, torch.strided, torch.device("cpu"), False)
        return torch._utils._rebuild_wrapper_subclass, (Scaled, *described)


def odd():
    """What may stand in the place of a tensor, and two tensors that look as odd and are not."""
    attribute, parameter = torch.tensor([1.0, 2.0]), torch.nn.Parameter(torch.tensor([3.0]))
    attribute.note = parameter.note = "mine"
    quantised = torch.quantize_per_tensor(torch.tensor([0.5, 1.0]), 0.1, 0, torch.qint8)
    return collections.OrderedDict(
        [
            ("attribute", attribute),
            ("parameter", parameter),
            ("sparse", torch.tensor([[0.0, 1.0]]).to_sparse()),
            ("rows", torch.tensor([[0.0, 1.0]]).to_sparse_csr()),
            ("quantised", quantised),
            ("meta", torch.empty(2, device="meta")),
            ("nested", torch.nested.nested_tensor([torch.ones(1), torch.ones(2)])),
            ("complex", torch.tensor([1 + 2j])),
            ("numpy", numpy.ones(2, dtype=numpy.float32)),
            ("storage", torch.ones(2).untyped_storage()),
            ("scaled", torch.ones(2).as_subclass(Scaled)),
            ("wrapper", Wrapper()),
            ("last", torch.tensor([4.0])),
        ]
    )


def record_of_python():
    """What trainings save beside tensors, each made by a call."""
    import datetime, random

    generator = numpy.random.default_rng(1)
    return {
        "state_dict": state(),
        "args": argparse.Namespace(lr=1, out=pathlib.PurePosixPath("out")),
        "when": [datetime.datetime(2024, 1, 2), datetime.timedelta(1)],
        "scores": [numpy.float64(0.5), numpy.ones(2), numpy.random.get_state(), generator, random.getstate()],
        "counts": [collections.Counter("aab"), collections.deque([1]), {1, 2}, frozenset([3]), 1j, range(3)],
        "torch": [torch.device("cuda:0"), torch.float16, torch.Size([2]), torch.get_rng_state(), torch.__version__],
        "meters": collections.defaultdict(list, {"miou": [1.0]}),
    }


def save_both(value, name, **options):
    torch.save(value, FOLDER / f"{name}-zip.pth", **options)
    torch.save(value, FOLDER / f"{name}-row.pth", _use_new_zipfile_serialization=False, **options)


for protocol in (0, 1):
    save_both(state(), f"protocol-{protocol}", pickle_protocol=protocol)
save_both(odd(), "odd")
save_both(record_of_python(), "python")
save_both({"epoch": 1, "model": Net()}, "whole")
torch.save([torch.ones(2), torch.ones(3)], FOLDER / "list.pth")
torch.save((state(), {"epoch": 1}), FOLDER / "in-tuple.pth")
torch.save([state()], FOLDER / "in-list.pth")
torch.save({"models": [state()], "optimizer": {"state": {0: {"exp_avg": torch.ones(2)}}}}, FOLDER / "in-record.pth")
torch.save({"net": state(), "snapshots": [{"conv1.weight": torch.zeros(3, 4)}, state()]}, FOLDER / "beside-list.pth")
torch.save([state(), {name: tensor + tensor for name, tensor in state().items()}], FOLDER / "two-in-list.pth")
torch.save(collections.defaultdict(list, {"a": torch.ones(2)}), FOLDER / "default.pth")
torch.jit.save(torch.jit.script(torch.nn.Conv2d(1, 1, 1)), FOLDER / "script.pth")
torch.serialization.set_crc32_options(False)
torch.save(state(), FOLDER / "no-checksum.pth")
torch.serialization.set_crc32_options(True)

torch.save(state(), FOLDER / "zip.pth")
torch.save(state(), FOLDER / "zip-protocol-4.pth", pickle_protocol=4)
torch.save(state(), FOLDER / "row.pth", _use_new_zipfile_serialization=False)
torch.save(training_record(), FOLDER / "record-zip.pth")
torch.save(training_record(), FOLDER / "record-row.pth", _use_new_zipfile_serialization=False)
torch.save(training_record() | {"x": Command()}, FOLDER / "hostile-zip.pth")
torch.save(training_record() | {"x": Command()}, FOLDER / "hostile-row.pth", _use_new_zipfile_serialization=False)
python2()
