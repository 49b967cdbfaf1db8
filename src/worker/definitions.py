"""Compares networks in PyTorch, and in `transformers` where that has one, with logits that a folder holds.

Reads a folder's name from each line of its input, and answers in a line of JSON.
"""

import importlib.util
import json
import pathlib
import sys

try:
    import torch
    from safetensors.torch import load_file
    from transformers import AutoModelForSemanticSegmentation, logging
except ImportError as error:
    print(error, flush=True)
    sys.exit()


def difference(ours, theirs):
    """As a share of the largest logit."""
    assert ours.shape == theirs.shape, (ours.shape, theirs.shape)
    return ((ours - theirs).abs().max() / theirs.abs().max()).item()


def levels(network, images):
    """Logits of the auxiliary head, where there is one, and of the main one."""
    found = network.levels(images) if hasattr(network, "levels") else (network(images),)
    return [logits for logits in found if logits is not None]


def of_pytorch(folder, expected):
    spec = importlib.util.spec_from_file_location("model", folder / "model.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    network = module.Model(json.loads((folder / "config.json").read_text()))
    network.load_state_dict(load_file(folder / "model.safetensors"), strict=True)
    with torch.no_grad():
        predicted = difference(network.eval()(expected["images"]), expected["main"])
    found = levels(network.train(), expected["images"])
    trained = [expected[name] for name in ("trained_aux", "trained") if name in expected]
    assert len(found) == len(trained)

    # What is trained here is what we train. Of a head's branches some may not be used.
    trainable = {name: parameter for name, parameter in network.named_parameters() if parameter.requires_grad}
    assert sorted(trainable) == sorted(json.loads((folder / "trainable.json").read_text()))
    sum(logits.square().mean() for logits in found).backward()
    unused = [name for name, parameter in trainable.items() if parameter.grad is None]
    assert all("conv2d_list" in name for name in unused), unused
    return {"pytorch": predicted, "training": max(map(difference, found, trained))}


def of_transformers(folder, expected):
    if not folder.exists():
        return {}
    code = (folder / "modeling_intrada.py").exists()
    network, told = AutoModelForSemanticSegmentation.from_pretrained(
        folder, trust_remote_code=code, output_loading_info=True
    )
    left = {what: names for what, names in told.items() if names}
    assert not left, left
    assert network.config.id2label[1] == "c1", network.config.id2label
    with torch.no_grad():
        return {"transformers": difference(network.eval()(expected["images"]).logits, expected["main"])}


logging.disable_progress_bar()
print("ready", flush=True)
for line in sys.stdin:
    folder = pathlib.Path(line.strip()).resolve()
    expected = load_file(folder / "logits.safetensors")
    varied = expected["main"].std(dim=(2, 3)).max() / expected["main"].abs().max()
    assert varied > 0.01, "logits that hardly depend on the place show nothing"
    found = of_pytorch(folder, expected) | of_transformers(folder / "transformers", expected)
    print(json.dumps(found), flush=True)
