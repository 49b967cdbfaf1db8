"""Writes segformer_reference.json: what `transformers` 5.24 on PyTorch 2.11 computes with SegFormers of formula weights (see
arch/segformer/tests.rs), and the names and shapes under which it saves one.

    pip install torch==2.11.0 transformers==5.24.0; python segformer_reference.py

Layer normalisation gets the epsilons of NVIDIA's released code, from which `transformers` differs. mmsegmentation's network
is written anew here from its description, as mmcv can't be installed everywhere: names and order of its modules are its own.
"""
import json
import math
import os
import tempfile

import numpy
import torch
from safetensors import safe_open
from transformers import SegformerConfig, SegformerForSemanticSegmentation

torch.set_num_threads(1)
SEED, CLASSES = 7, 5
SIZES = {  # channels, depths, width of the head
    "b0": ([32, 64, 160, 256], [2, 2, 2, 2], 256),
    "b2": ([64, 128, 320, 512], [3, 4, 6, 3], 768),
    "b5": ([64, 128, 320, 512], [3, 6, 40, 3], 768),
}


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
        gain = 6 if name.endswith(("conv_seg.weight", "linear_pred.weight")) else 1
        values = u * f32(math.sqrt(6 / math.prod(shape[1:])) * gain)
    elif len(shape) == 2:
        values = u * f32(math.sqrt(3 / shape[1]))
    elif name.endswith("running_var"):
        values = f32(1) + f32(0.5) * abs(u)
    elif name.endswith("running_mean"):
        values = f32(0.1) * u
    elif name.endswith("weight"):
        values = f32(1) + f32(0.2) * u
    else:
        values = f32(0.1) * u
    return torch.from_numpy(values.reshape(shape))


def released(name):
    """The released code's name of a tensor of `transformers` 5, and which part of it that is (keys, values)."""
    part = None
    if name.startswith("segformer."):
        _, _, stage, *rest = name.split(".")
        stage, rest = int(stage) + 1, ".".join(rest)
        rest = rest.replace("patch_embeddings.layer_norm", "patch_embeddings.norm").replace("patch_embeddings", f"patch_embed{stage}")
        if rest.startswith("blocks."):
            rest = rest.replace("blocks.", f"block{stage}.", 1)
            for new, old in [("layernorm_before", "norm1"), ("layernorm_after", "norm2"), ("attention.q_proj", "attn.q"),
                             ("attention.o_proj", "attn.proj"), ("attention.sequence_reduction.layer_norm", "attn.norm"),
                             ("attention.sequence_reduction.sequence_reduction", "attn.sr")]:
                rest = rest.replace(new, old)
            for new, which in [("attention.k_proj", 0), ("attention.v_proj", 1)]:
                if new in rest:
                    rest, part = rest.replace(new, "attn.kv"), which
        else:
            rest = rest.replace("layer_norm", f"norm{stage}")
        return f"backbone.{rest}", part
    for new, old in [("linear_fuse", "linear_fuse.conv"), ("batch_norm", "linear_fuse.bn"), ("classifier", "linear_pred")]:
        name = name.replace(f"decode_head.{new}", f"decode_head.{old}")
    if "linear_projections." in name:
        _, _, stage, *rest = name.split(".")
        name = f"decode_head.linear_c{int(stage) + 1}.{'.'.join(rest)}"
    return name, part


def model(size, dtype):
    channels, depths, width = SIZES[size]
    config = SegformerConfig(hidden_sizes=channels, depths=depths, decoder_hidden_size=width, num_labels=CLASSES,
                             drop_path_rate=0.0, classifier_dropout_prob=0.0, num_attention_heads=[1, 2, 5, 8])
    network = SegformerForSemanticSegmentation(config)
    for name, module in network.named_modules():
        if isinstance(module, torch.nn.LayerNorm):
            inner = "patch_embeddings" in name or "sequence_reduction" in name
            module.eps = 1e-5 if inner else 1e-6
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if not name.endswith("num_batches_tracked"):
                key, part = released(name)
                shape = list(tensor.shape)
                if part is not None:
                    half = shape[0]
                    tensor.copy_(formula(key, [2 * half, *shape[1:]])[part * half:(part + 1) * half])
                else:
                    tensor.copy_(formula(key, shape))
    return network.to(dtype)


def image(height, width, dtype):
    return torch.from_numpy(unit(f"image.{height}x{width}", 2 * 3 * height * width)).reshape(2, 3, height, width).to(dtype) * 2


def statistics(tensor):
    flat = tensor.detach().double().flatten()
    return [float(x) for x in (flat.sum(), flat.abs().sum(), flat.abs().max(), *flat[:: max(1, len(flat) // 16)][:16])]


forward = []
for size in SIZES:
    for height, width in [(64, 96), (65, 97)]:
        entry = {"size": size, "image": [height, width]}
        for dtype in (torch.float64, torch.float32):
            network = model(size, dtype).eval()
            with torch.no_grad():
                logits = network(image(height, width, dtype)).logits
            entry[str(dtype).split(".")[1]] = {"shape": list(logits.shape), "logits": statistics(logits)}
        forward.append(entry)

network = model("b0", torch.float64).train()
loss = network(image(64, 96, torch.float64)).logits.square().mean()
loss.backward()
gradients = {}
for name, parameter in network.named_parameters():
    key, part = released(name)
    gradients.setdefault(key, 0.0)
    gradients[key] += float(parameter.grad.abs().sum())
running = {released(name)[0]: float(buffer.abs().sum()) for name, buffer in network.named_buffers() if "running" in name}

with tempfile.TemporaryDirectory() as folder:
    model("b0", torch.float32).save_pretrained(folder)
    with safe_open(os.path.join(folder, "model.safetensors"), "pt") as file:
        saved = {name: file.get_slice(name).get_shape() for name in sorted(file.keys())}

class Convolution(torch.nn.Module):
    """mmcv's ConvModule: no bias, batch normalisation, ReLU."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.conv, self.bn = torch.nn.Conv2d(inputs, outputs, 1, bias=False), torch.nn.BatchNorm2d(outputs)

    def forward(self, x):
        return self.bn(self.conv(x)).relu()


def to_map(x, sides):
    return x.transpose(1, 2).reshape(x.shape[0], -1, *sides)


def to_rows(x):
    return x.flatten(2).transpose(1, 2)


class MmPatch(torch.nn.Module):
    def __init__(self, stage, inputs, outputs):
        super().__init__()
        kernel, stride = (7, 4) if stage == 0 else (3, 2)
        self.projection = torch.nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2)
        self.norm = torch.nn.LayerNorm(outputs)


class MmAttention(torch.nn.Module):
    def __init__(self, stage, d):
        super().__init__()
        self.attn = torch.nn.MultiheadAttention(d, [1, 2, 5, 8][stage], batch_first=True)
        if stage < 3:
            side = [8, 4, 2][stage]
            self.sr, self.norm = torch.nn.Conv2d(d, d, side, side), torch.nn.LayerNorm(d)

    def forward(self, x, sides):
        keys = self.norm(to_rows(self.sr(to_map(x, sides)))) if hasattr(self, "sr") else x
        return self.attn(x, keys, keys)[0]


class MmFfn(torch.nn.Module):
    def __init__(self, d):
        super().__init__()
        conv, wide = torch.nn.Conv2d, 4 * d
        self.layers = torch.nn.Sequential(conv(d, wide, 1), conv(wide, wide, 3, 1, 1, groups=wide), torch.nn.GELU(),
                                          torch.nn.Dropout(0.0), conv(wide, d, 1), torch.nn.Dropout(0.0))


class MmBlock(torch.nn.Module):
    def __init__(self, stage, d):
        super().__init__()
        self.norm1, self.attn = torch.nn.LayerNorm(d, 1e-6), MmAttention(stage, d)
        self.norm2, self.ffn = torch.nn.LayerNorm(d, 1e-6), MmFfn(d)

    def forward(self, x, sides):
        x = x + self.attn(self.norm1(x), sides)
        return x + to_rows(self.ffn.layers(to_map(self.norm2(x), sides)))


class Mmsegmentation(torch.nn.Module):
    def __init__(self, size):
        super().__init__()
        channels, depths, _ = SIZES[size]
        self.backbone, self.decode_head = torch.nn.Module(), torch.nn.Module()
        self.backbone.layers = torch.nn.ModuleList()
        for stage, (inputs, d) in enumerate(zip([3, *channels], channels)):
            blocks = torch.nn.ModuleList(MmBlock(stage, d) for _ in range(depths[stage]))
            parts = [MmPatch(stage, inputs, d), blocks, torch.nn.LayerNorm(d, 1e-6)]
            self.backbone.layers.append(torch.nn.ModuleList(parts))
        self.decode_head.convs = torch.nn.ModuleList(Convolution(d, 256) for d in channels)
        self.decode_head.fusion_conv = Convolution(4 * 256, 256)
        self.decode_head.conv_seg = torch.nn.Conv2d(256, CLASSES, 1)

    def forward(self, x):
        maps = []
        for patch, blocks, norm in self.backbone.layers:
            x = patch.projection(x)
            sides, x = x.shape[2:], patch.norm(to_rows(x))
            for block in blocks:
                x = block(x, sides)
            x = to_map(norm(x), sides)
            maps.append(x)
        maps = [conv(x) for conv, x in zip(self.decode_head.convs, maps)]
        maps = [torch.nn.functional.interpolate(x, maps[0].shape[2:], mode="bilinear", align_corners=False) for x in maps]
        return self.decode_head.conv_seg(self.decode_head.fusion_conv(torch.cat(maps, 1)))


def of_mmsegmentation(name, shape):
    """A tensor of that network by the formula, which goes by the released code's names."""
    if not name.startswith("backbone."):
        return formula(name, shape)
    _, _, stage, part, *rest = name.split(".")
    i, rest = int(stage) + 1, ".".join(rest)
    if part == "0":
        return formula(f"backbone.patch_embed{i}.{rest.replace('projection', 'proj')}", shape)
    if part == "2":
        return formula(f"backbone.norm{i}.{rest}", shape)
    block, rest = rest.split(".", 1)
    prefix = f"backbone.block{i}.{block}"
    if "in_proj_" in rest:
        leaf, d = rest.rsplit("_", 1)[1], shape[0] // 3
        q, kv = ([n * d, *shape[1:]] for n in (1, 2))
        return torch.cat([formula(f"{prefix}.attn.q.{leaf}", q), formula(f"{prefix}.attn.kv.{leaf}", kv)])
    for old, new in [("attn.attn.out_proj", "attn.proj"), ("ffn.layers.0", "mlp.fc1"), ("ffn.layers.1", "mlp.dwconv.dwconv"),
                     ("ffn.layers.4", "mlp.fc2")]:
        rest = rest.replace(old, new)
    if rest.startswith("mlp.fc") and len(shape) == 4:
        return formula(f"{prefix}.{rest}", shape[:2]).reshape(shape)
    return formula(f"{prefix}.{rest}", shape)


network = Mmsegmentation("b0")
with torch.no_grad():
    for name, tensor in network.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            tensor.copy_(of_mmsegmentation(name, list(tensor.shape)))
    logits = network.double().eval()(image(65, 97, torch.float64))
other = {"size": "b0", "image": [65, 97], "float64": {"shape": list(logits.shape), "logits": statistics(logits)}}
mmsegmentation = {name: list(tensor.shape) for name, tensor in sorted(network.state_dict().items())}
network = model("b0", torch.float64)

reference = {"forward": forward, "forward_mmsegmentation": other, "loss": float(loss.detach()), "gradients": gradients,
             "running": running, "saved": saved, "mmsegmentation": mmsegmentation,
             "in_memory": {name: list(t.shape) for name, t in sorted(network.state_dict().items())}}
path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "segformer_reference.json")


def line_by_line(value):
    """A dictionary's entries, a line each."""
    if not isinstance(value, dict):
        return json.dumps(value)
    lines = (f"  {json.dumps(name)}: {json.dumps(of_name)}" for name, of_name in value.items())
    return "{\n" + ",\n".join(lines) + "\n }"


with open(path, "w") as file:
    file.write("{\n" + ",\n".join(f" {json.dumps(name)}: {line_by_line(value)}" for name, value in reference.items()) + "\n}\n")
