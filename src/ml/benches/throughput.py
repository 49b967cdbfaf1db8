#!/usr/bin/env python3
"""The same measurements as throughput.rs, in eager PyTorch: throughput.py THREADS REPEATS [WHAT [PRECISION]].

DeepLab-v2 on ResNet-101 as AdvEnt builds it (stride on the 1x1, layers 3 and 4 dilated, two heads), written anew.
"""
import contextlib
import math
import resource
import statistics
import sys
import time

import torch
import torch.nn as nn
import torch.nn.functional as F

CLASSES = 19
WHAT, PRECISION = [*sys.argv[3:], *["", "float32"][len(sys.argv[3:]):]][:2]


def frozen(channels):
    norm = nn.BatchNorm2d(channels)
    for parameter in norm.parameters():
        parameter.requires_grad = False
    return norm


class Bottleneck(nn.Module):
    def __init__(self, inside, mid, stride, dilation, first):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inside, mid, 1, stride, bias=False), frozen(mid)
        self.conv2, self.bn2 = nn.Conv2d(mid, mid, 3, 1, dilation, dilation, bias=False), frozen(mid)
        self.conv3, self.bn3 = nn.Conv2d(mid, 4 * mid, 1, bias=False), frozen(4 * mid)
        self.down = nn.Sequential(nn.Conv2d(inside, 4 * mid, 1, stride, bias=False), frozen(4 * mid)) if first else None

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        y = F.relu(self.bn2(self.conv2(y)), inplace=True)
        y = self.bn3(self.conv3(y))
        return F.relu(y + (x if self.down is None else self.down(x)), inplace=True)


class Head(nn.Module):
    def __init__(self, inside):
        super().__init__()
        self.branches = nn.ModuleList(nn.Conv2d(inside, CLASSES, 3, 1, d, d) for d in (6, 12, 18, 24))

    def forward(self, x):
        return sum(branch(x) for branch in self.branches)


class DeepLab(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 64, 7, 2, 3, bias=False), frozen(64), nn.ReLU(inplace=True),
                                  nn.MaxPool2d(3, 2, 1, ceil_mode=True))
        layers, inside = [], 64
        for mid, count, stride, dilation in ((64, 3, 1, 1), (128, 4, 2, 1), (256, 23, 1, 2), (512, 3, 1, 4)):
            blocks = []
            for i in range(count):
                blocks.append(Bottleneck(inside, mid, stride if i == 0 else 1, dilation, i == 0))
                inside = 4 * mid
            layers.append(nn.Sequential(*blocks))
        self.layer1, self.layer2, self.layer3, self.layer4 = layers
        self.aux, self.main = Head(1024), Head(2048)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, 0, 0.01)

    def forward(self, x):
        x = self.layer3(self.layer2(self.layer1(self.stem(x))))
        return self.aux(x), self.main(self.layer4(x))


def discriminator():
    widths, layers = (CLASSES, 64, 128, 256, 512), []
    for i in range(4):
        layers += [nn.Conv2d(widths[i], widths[i + 1], 4, 2, 1), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, nn.Conv2d(512, 1, 4, 2, 1))


def information(logits):
    p = F.softmax(logits, 1)
    return -p * torch.log2(p + 1e-30) / math.log2(CLASSES)


def bce(logits, label):
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, label))


def inference(net, repeats, images=1):
    net.eval()
    image = torch.rand(images, 3, 512, 1024) * 255 - 116
    for _ in range(repeats + 1):
        cpu, wall = time.process_time(), time.perf_counter()
        with torch.no_grad():
            logits = F.interpolate(net(image)[1], (512, 1024), mode="bilinear", align_corners=True)
            entropy = information(logits).sum(1)
            (entropy * 255).round().clamp(0, 255).to(torch.uint8), logits.argmax(1).to(torch.uint8), entropy.mean((1, 2)).tolist()
        yield time.process_time() - cpu, time.perf_counter() - wall


def training(net, repeats):
    net.train()
    heads = list(net.aux.parameters()) + list(net.main.parameters())
    ids = {id(p) for p in heads}
    body = [p for p in net.parameters() if p.requires_grad and id(p) not in ids]
    g = torch.optim.SGD([{"params": body, "lr": 2.5e-4}, {"params": heads, "lr": 2.5e-3}], momentum=0.9, weight_decay=5e-4)
    ds = [discriminator(), discriminator()]
    opts = [torch.optim.Adam(d.parameters(), 1e-4, (0.9, 0.99)) for d in ds]
    up = lambda z: F.interpolate(z.float(), (256, 512), mode="bilinear", align_corners=True)
    rounded = PRECISION == "bfloat16"
    autocast = lambda: torch.autocast("cpu", torch.bfloat16) if rounded else contextlib.nullcontext()

    def seen(d, z):
        with autocast():
            return d(information(z)).float()

    def logits_of(image):
        with autocast():
            return net(image)

    for _ in range(repeats + 1):
        cpu, wall = time.process_time(), time.perf_counter()
        image_s, image_t = (torch.rand(1, 3, 256, 512) * 255 - 116 for _ in range(2))
        label = torch.randint(CLASSES, (1, 256, 512))
        for optimizer in (g, *opts):
            optimizer.zero_grad()
        for d in ds:
            d.requires_grad_(False)
        source = [up(z) for z in logits_of(image_s)]
        (0.1 * F.cross_entropy(source[0], label) + F.cross_entropy(source[1], label)).backward()
        target = [up(z) for z in logits_of(image_t)]
        sum(w * bce(seen(d, z), 0.0) for w, d, z in zip((2e-4, 1e-3), ds, target)).backward()
        for d in ds:
            d.requires_grad_(True)
        for logits, domain in ((source, 0.0), (target, 1.0)):
            for d, z in zip(ds, logits):
                (bce(seen(d, z.detach()), domain) / 2).backward()
        for optimizer in (g, *opts):
            optimizer.step()
        yield time.process_time() - cpu, time.perf_counter() - wall


def report(what, times):
    cpu, wall = (statistics.median(t[i] for t in times[1:]) for i in (0, 1))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"pytorch  {what:<20}  cpu {cpu:7.3f} s  wall {wall:7.3f} s  peak {peak:6.0f} MiB", flush=True)


if __name__ == "__main__":
    threads, repeats = int(sys.argv[1]), int(sys.argv[2])
    torch.set_num_threads(threads)
    net = DeepLab()
    for what, measure in (("inference 1024x512", inference), ("eight 1024x512", lambda net, repeats: inference(net, repeats, 8)), ("advent step 512x256", training)):
        if WHAT in what:
            report(what, list(measure(net, repeats)))
