#!/usr/bin/env python3
"""The same measurement as steps.rs, in eager PyTorch: steps.py METHOD THREADS REPEATS [NETWORK].

SegFormer-B1 is that of `transformers`; losses, mixing, colours, blur, masks and the teacher are written anew.

    pip install torch==2.11.0 transformers==5.24.0        # transformers only for segformer-b1
"""
import copy
import math
import random
import resource
import statistics
import sys
import time

import torch
import torch.nn as nn
import torch.nn.functional as F

NETWORK = sys.argv[4] if len(sys.argv) > 4 else "segformer-b1"
CLASSES, SIZE, BATCH, WIDTH = {"segformer-b1": (19, (256, 256), 2, 64), "small": (8, (64, 128), 4, 16)}[NETWORK]
THINGS = torch.tensor([6, 7, *range(11, 19)])
MEAN = torch.tensor([123.675, 116.28, 103.53]).view(3, 1, 1)
STD = torch.tensor([58.395, 57.12, 57.375]).view(3, 1, 1)


class SegFormer(nn.Module):
    """Logits at the image's size, and the deepest map."""

    def __init__(self):
        super().__init__()
        from transformers import SegformerConfig, SegformerForSemanticSegmentation
        config = SegformerConfig(
            hidden_sizes=[64, 128, 320, 512], depths=[2, 2, 2, 2], decoder_hidden_size=256, num_labels=CLASSES,
        )
        self.net = SegformerForSemanticSegmentation(config)

    def forward(self, x):
        maps = self.net.segformer(x, output_hidden_states=True, return_dict=True).hidden_states
        logits = self.net.decode_head(maps)
        return F.interpolate(logits, size=x.shape[2:], mode="bilinear", align_corners=False), maps[-1]


def layer(input, output, stride=1, dilation=1, kernel=3):
    padding = dilation * (kernel // 2)
    conv = nn.Conv2d(input, output, kernel, stride, padding, dilation, bias=False)
    return nn.Sequential(conv, nn.GroupNorm(8, output), nn.ReLU(inplace=True))


class Small(nn.Module):
    """As SegFormer above."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(layer(3, 16, 2), layer(16, 16))
        self.quarter = nn.Sequential(layer(16, 32, 2), layer(32, 32, dilation=2), layer(32, 32, dilation=4),
                                     layer(32, 32, dilation=2))
        self.fuse = layer(48, 16, kernel=1)
        self.main = nn.Conv2d(16, CLASSES, 3, padding=1)

    def forward(self, x):
        half = self.stem(x)
        deep = self.quarter(half)
        up = F.interpolate(deep, size=half.shape[2:], mode="bilinear", align_corners=True)
        logits = self.main(self.fuse(torch.cat([half, up], 1)))
        return F.interpolate(logits, size=x.shape[2:], mode="bilinear", align_corners=True), deep


Student = {"segformer-b1": SegFormer, "small": Small}[NETWORK]


class Discriminator(nn.Sequential):
    def __init__(self):
        layers, inside = [], CLASSES
        for width in (WIDTH, 2 * WIDTH, 4 * WIDTH, 8 * WIDTH):
            layers += [nn.Conv2d(inside, width, 4, 2, 1), nn.LeakyReLU(0.2, inplace=True)]
            inside = width
        super().__init__(*layers, nn.Conv2d(inside, 1, 4, 2, 1))


def self_information(p):
    return -p * torch.log2(p + 1e-30) / math.log2(CLASSES)


def bce(z, label):
    return F.binary_cross_entropy_with_logits(z, torch.full_like(z, label))


def cross_entropy(z, labels, weights=None):
    loss = F.cross_entropy(z, labels, ignore_index=255, reduction="none")
    return (loss if weights is None else loss * weights).mean()


def hsv(x):
    value, index = x.max(0)
    spread = value - x.min(0).values
    saturation = spread / (value + 1e-6)
    spread = torch.where(spread == 0, torch.ones_like(spread), spread)
    r, g, b = x
    sector = torch.stack([g - b, 2 * spread + b - r, 4 * spread + r - g]).gather(0, index[None])[0] / spread
    return (sector / 6) % 1, saturation, value


def rgb(hue, saturation, value):
    sixths = (hue * 6) % 6
    sector, within = sixths.floor() % 6, sixths - sixths.floor()
    p, q, t = value * (1 - saturation), value * (1 - within * saturation), value * (1 - (1 - within) * saturation)
    at = sector.long()[None]
    pick = lambda *of: torch.stack(of).gather(0, at)[0]
    return torch.stack([pick(value, q, p, p, t, value), pick(t, value, value, q, p, p), pick(p, p, t, value, value, q)])


def strong(images):
    colours, blur = random.random() < 0.8, random.random() < 0.5
    out = []
    for x in images:
        if colours:
            x = (x * STD + MEAN) / 255
            for step in random.sample(range(4), 4):
                factor = random.uniform(0.8, 1.2)
                if step == 0:
                    x = (x + factor - 1).clamp(0, 1)
                elif step == 1:
                    x = (x * factor).clamp(0, 1)
                else:
                    h, s, v = hsv(x)
                    x = rgb(h, (s * factor).clamp(0, 1), v) if step == 2 else rgb(h + factor - 1, s, v)
            x = (x * 255 - MEAN) / STD
        if blur:
            sigma, side = random.uniform(0.15, 1.15), 25
            taps = torch.exp(-((torch.arange(side) - side // 2.0) ** 2) / (2 * sigma * sigma))
            taps = taps / taps.sum()
            x = F.pad(x[:, None], [side // 2] * 4, mode="reflect")
            x = F.conv2d(F.conv2d(x, taps.view(1, 1, -1, 1)), taps.view(1, 1, 1, -1))[:, 0]
        out.append(x)
    return torch.stack(out)


def cells(labels, grid):
    known = torch.where(labels == 255, CLASSES, labels)
    share, found = F.adaptive_avg_pool2d(F.one_hot(known, CLASSES + 1).permute(0, 3, 1, 2).float(), grid).max(1)
    return torch.where((share >= 0.75) & (found != CLASSES), found, 255)


class Training:
    def __init__(self, method):
        self.method, self.student, self.k = method, Student().train(), 0
        taught = method in ("dacs", "daformer", "mic")
        self.teacher = copy.deepcopy(self.student).requires_grad_(False) if taught else None
        if taught:
            for module in self.teacher.modules():
                if isinstance(module, nn.Dropout) or type(module).__name__ == "SegformerDropPath":
                    module.eval()
        self.reference = copy.deepcopy(self.student).eval() if method in ("daformer", "mic") else None
        self.d = Discriminator() if method in ("advent", "adaptsegnet") else None
        heads = [p for name, p in self.student.named_parameters() if "decode_head" in name]
        plain = [p for name, p in self.student.named_parameters() if "decode_head" not in name and "norm" not in name]
        norms = [p for name, p in self.student.named_parameters() if "decode_head" not in name and "norm" in name]
        groups = [{"params": heads, "lr": 6e-4}, {"params": plain}, {"params": norms, "weight_decay": 0}]
        self.optimizer = torch.optim.AdamW(groups, lr=6e-5, weight_decay=0.01, foreach=False)
        self.of_d = torch.optim.Adam(self.d.parameters(), lr=1e-4, betas=(0.9, 0.99), foreach=False) if self.d else None

    def step(self, source, labels, target):
        self.optimizer.zero_grad()
        if self.teacher is not None:
            keep = min(1 - 1 / (self.k + 1), 0.999)
            with torch.no_grad():
                for ours, theirs in zip(self.teacher.parameters(), self.student.parameters()):
                    ours.mul_(keep).add_(theirs, alpha=1 - keep)
        z_s, features = self.student(source)
        loss = cross_entropy(z_s, labels)
        if self.reference is not None:
            with torch.no_grad():
                theirs = self.reference(source)[1]
            chosen = torch.isin(cells(labels, features.shape[2:]), THINGS)
            if chosen.any():
                loss = loss + 0.005 * (features - theirs).norm(dim=1)[chosen].mean()
        loss.backward()
        if self.method in ("minent", "advent", "adaptsegnet"):
            z_t, _ = self.student(target)
            see = (lambda z: z.softmax(1)) if self.method == "adaptsegnet" else (lambda z: self_information(z.softmax(1)))
            if self.method == "minent":
                (0.001 * self_information(z_t.softmax(1)).sum(1).mean()).backward()
            else:
                self.of_d.zero_grad()
                self.d.requires_grad_(False)
                (0.001 * bce(self.d(see(z_t)), 0.0)).backward()
                self.d.requires_grad_(True)
                (bce(self.d(see(z_s.detach())), 0.0) / 2).backward()
                (bce(self.d(see(z_t.detach())), 1.0) / 2).backward()
                self.of_d.step()
        if self.teacher is not None:
            with torch.no_grad():
                confidence, pseudo = self.teacher(target)[0].softmax(1).max(1)
                weights = (confidence >= 0.968).float().mean().expand(pseudo.shape)
            present, mixed = labels.unique(), []
            for i in range(BATCH):
                chosen = present[torch.randperm(len(present))[: (len(present) + 1) // 2]]
                pasted = torch.isin(labels[i], chosen)
                mixed.append((torch.where(pasted, source[i], target[i]), torch.where(pasted, labels[i], pseudo[i]),
                              torch.where(pasted, torch.ones_like(weights[i]), weights[i])))
            images, mixed_labels, mixed_weights = (torch.stack(part) for part in zip(*mixed))
            cross_entropy(self.student(strong(images))[0], mixed_labels, mixed_weights).backward()
            if self.method == "mic":
                keep = (torch.rand(BATCH, 1, SIZE[0] // 32, SIZE[1] // 32) > 0.7).float()
                images = strong(target) * F.interpolate(keep, size=SIZE, mode="nearest")
                cross_entropy(self.student(images)[0], pseudo, weights).backward()
        self.optimizer.step()
        self.k += 1


def noise():
    images = [torch.rand(BATCH, 3, *SIZE) * 4 - 2 for _ in range(2)]
    blocks = torch.randint(CLASSES, (BATCH, 1, 8, 8)).float()
    return images[0], F.interpolate(blocks, size=SIZE, mode="nearest")[:, 0].long(), images[1]


def main():
    method, threads, repeats = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    torch.set_num_threads(threads)
    training, times = Training(method), []
    for _ in range(repeats + 1):
        cpu, wall = time.process_time(), time.perf_counter()
        training.step(*noise())
        times.append((time.process_time() - cpu, time.perf_counter() - wall))
    cpu, wall = (statistics.median(t[i] for t in times[1:]) for i in (0, 1))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"pytorch {method:<12} cpu {cpu:7.4f} s  wall {wall:7.4f} s  peak {peak:6.0f} MiB")


main()
