"""Writes dinov2_reference.json: what `transformers` 5.24 on PyTorch 2.11 computes with DINOv2 networks of formula weights
(see arch/dinov2/tests.rs), and the names and shapes under which it saves one.

    pip install torch==2.11.0 transformers==5.24.0; python dinov2_reference.py

The head, and the padding to whole patches before the encoder, are those of the released code's evaluation of segmentation
(`BNHead`, `CenterPadding`), written anew from their description: `transformers` has neither. In double precision the
positions are interpolated in double precision too, where `transformers` always takes single.
"""
import json
import math
import os
import re
import tempfile

import numpy
import torch
from safetensors import safe_open
from torch.nn import functional
from transformers import Dinov2Config, Dinov2Model, Dinov2WithRegistersConfig, Dinov2WithRegistersModel

torch.set_num_threads(1)
SEED, CLASSES, PATCH = 7, 5, 14
SIZES = {"s": (384, 12, 6), "b": (768, 12, 12), "l": (1024, 24, 16)}  # width, depth, heads
HEADS = {"linear": 1, "linear-4": 4}  # layers


def unit(name, count):
    """splitmix64 from the name's FNV-1a hash, in [-1, 1), single precision."""
    state = 0xCBF29CE484222325
    for byte in name.encode():
        state = (state ^ byte) * 0x100000001B3 % 2**64
    with numpy.errstate(over="ignore"):
        z = numpy.uint64(state ^ SEED) + numpy.arange(1, count + 1, dtype=numpy.uint64) * numpy.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> numpy.uint64(30))) * numpy.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> numpy.uint64(27))) * numpy.uint64(0x94D049BB133111EB)
        z = (z ^ (z >> numpy.uint64(31))) >> numpy.uint64(40)
    return z.astype(numpy.float32) / numpy.float32(1 << 23) - numpy.float32(1)


def formula(name, shape):
    u, f32 = unit(name, math.prod(shape)), numpy.float32
    if len(shape) == 4:
        values = u * f32(math.sqrt(6 / math.prod(shape[1:])))
    elif len(shape) == 3:
        values = u * f32(0.5)
    elif len(shape) == 2:
        values = u * f32(math.sqrt(3 / shape[1]))
    elif name.endswith("running_var"):
        values = f32(1) + f32(0.5) * abs(u)
    elif name.endswith("gamma"):
        values = f32(0.5) + f32(0.3) * u
    elif name.endswith("weight"):
        values = f32(1) + f32(0.2) * u
    else:
        values = f32(0.1) * u
    return torch.from_numpy(values.reshape(shape))


def released(name):
    """The released code's name of a tensor of `transformers` 5, and which third of it that is (query, key, value)."""
    part = None
    for new, old in [("embeddings.patch_embeddings.projection", "patch_embed.proj"),
                     ("embeddings.position_embeddings", "pos_embed"), ("embeddings.", ""), ("encoder.layer.", "blocks."),
                     ("layer_scale1.lambda1", "ls1.gamma"), ("layer_scale2.lambda1", "ls2.gamma"),
                     ("attention.o_proj", "attn.proj"), ("layernorm", "norm")]:
        name = name.replace(new, old)
    for which, new in enumerate(["q_proj", "k_proj", "v_proj"]):
        if new in name:
            name, part = name.replace(f"attention.{new}", "attn.qkv"), which
    return f"backbone.{name}", part


def encoder(size, registers):
    width, depth, heads = SIZES[size]
    config = dict(hidden_size=width, num_hidden_layers=depth, num_attention_heads=heads, image_size=518, patch_size=PATCH)
    if registers:
        return Dinov2WithRegistersModel(Dinov2WithRegistersConfig(**config, num_register_tokens=4))
    return Dinov2Model(Dinov2Config(**config))


class Head(torch.nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.bn, self.conv_seg = torch.nn.BatchNorm2d(channels), torch.nn.Conv2d(channels, CLASSES, 1)

    def forward(self, maps):
        return self.conv_seg(self.bn(torch.cat(maps, 1)))


class Network(torch.nn.Module):
    def __init__(self, size, registers, head):
        super().__init__()
        self.layers, self.before = HEADS[head], 5 if registers else 1
        self.encoder, self.head = encoder(size, registers), Head(SIZES[size][0] * HEADS[head])
        with torch.no_grad():
            for name, tensor in self.encoder.state_dict().items():
                key, part = released(name)
                shape = list(tensor.shape)
                if part is not None:
                    third = shape[0]
                    tensor.copy_(formula(key, [3 * third, *shape[1:]])[part * third:(part + 1) * third])
                else:
                    tensor.copy_(formula(key, shape))
            for name, tensor in self.head.state_dict().items():
                if not name.endswith("num_batches_tracked"):
                    tensor.copy_(formula(f"decode_head.{name}", list(tensor.shape)))

    def forward(self, x):
        height, width = x.shape[2:]
        [top, bottom], [left, right] = ([-side % PATCH // 2, (-side % PATCH + 1) // 2] for side in (height, width))
        padded = functional.pad(x, (left, right, top, bottom))
        rows, columns = (side // PATCH for side in padded.shape[2:])
        states = self.encoder(padded, output_hidden_states=True).hidden_states[-self.layers:]
        maps = [self.encoder.layernorm(state)[:, self.before:].transpose(1, 2).unflatten(2, (rows, columns)) for state in states]
        logits = self.head(maps)
        if padded.shape == x.shape:
            return logits
        logits = functional.interpolate(logits, size=padded.shape[2:], mode="bilinear", align_corners=False)
        return logits[:, :, top:top + height, left:left + width]


interpolate = functional.interpolate


def in_double(x, **more):
    """Instead of `interpolate`, whose `x` was rounded to single precision before: formula weights are singles."""
    return interpolate(x.double() if more["mode"] == "bicubic" else x, **more)


def image(height, width, dtype):
    return torch.from_numpy(unit(f"image.{height}x{width}", 2 * 3 * height * width)).reshape(2, 3, height, width).to(dtype) * 2


def statistics(tensor):
    flat = tensor.detach().double().flatten()
    return [float(x) for x in (flat.sum(), flat.abs().sum(), flat.abs().max(), *flat[:: max(1, len(flat) // 16)][:16])]


def network(size, registers, head, dtype):
    functional.interpolate = in_double if dtype == torch.float64 else interpolate
    return Network(size, registers, head).to(dtype)


forward = []
for size, head in [("s", "linear"), ("s", "linear-4"), ("b", "linear")]:
    for registers in (False, True):
        both = {dtype: network(size, registers, head, dtype).eval() for dtype in (torch.float64, torch.float32)}
        for height, width in [(56, 84), (28, 532), (65, 97)]:
            entry = {"size": size, "registers": registers, "head": head, "image": [height, width]}
            for dtype, one in both.items():
                functional.interpolate = in_double if dtype == torch.float64 else interpolate
                with torch.no_grad():
                    logits = one(image(height, width, dtype))
                entry[str(dtype).split(".")[1]] = {"shape": list(logits.shape), "logits": statistics(logits)}
            forward.append(entry)

training = {}
for registers in (False, True):
    one = network("s", registers, "linear", torch.float64).train()
    loss = one(image(65, 97, torch.float64)).square().mean()
    loss.backward()
    gradients = {}
    for name, parameter in one.named_parameters():
        if not name.endswith("mask_token"):
            part, name = name.split(".", 1)
            key = released(name)[0] if part == "encoder" else f"decode_head.{name}"
            gradients[key] = gradients.get(key, 0.0) + float(parameter.grad.abs().sum())
    running = {f"decode_head.{name}": float(buffer.abs().sum()) for name, buffer in one.head.named_buffers() if "running" in name}
    # Of one form all, of the other those outside of the blocks.
    gradients = {name: value for name, value in gradients.items() if registers or ".blocks." not in name}
    training["with registers" if registers else "without registers"] = {
        "loss": float(loss.detach()), "gradients": gradients, "running": running}


def of_first_block(names):
    return {name: shape for name, shape in names.items() if not re.search(r"\.layer\.[1-9]", name)}


saved, in_memory = {}, {}
for registers in (False, True):
    one, form = encoder("s", registers), "with registers" if registers else "without registers"
    in_memory[form] = of_first_block({name: list(tensor.shape) for name, tensor in sorted(one.state_dict().items())})
    with tempfile.TemporaryDirectory() as folder:
        one.save_pretrained(folder)
        with safe_open(os.path.join(folder, "model.safetensors"), "pt") as file:
            saved[form] = of_first_block({name: file.get_slice(name).get_shape() for name in sorted(file.keys())})

parameters = {}
for size in SIZES:
    for registers in (False, True):
        with torch.device("meta"):
            counted = [p.numel() for name, p in encoder(size, registers).named_parameters() if not name.endswith("mask_token")]
        parameters[f"{size}-reg" if registers else size] = sum(counted)

reference = {"forward": forward, "training": training, "saved": saved, "in_memory": in_memory, "parameters": parameters}
path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "dinov2_reference.json")


def line_by_line(value):
    """The entries of a list or a dictionary, a line each."""
    if isinstance(value, list):
        return "[\n" + ",\n".join(f"  {json.dumps(item)}" for item in value) + "\n ]"
    return "{\n" + ",\n".join(f"  {json.dumps(name)}: {json.dumps(of_name)}" for name, of_name in value.items()) + "\n }"


with open(path, "w") as file:
    file.write("{\n" + ",\n".join(f" {json.dumps(name)}: {line_by_line(value)}" for name, value in reference.items()) + "\n}\n")
