"""The networks `deeplabv2-resnet50` and `deeplabv2-resnet101` in PyTorch: DeepLab-v2 (arXiv 1606.00915) on a dilated ResNet.

`Model(config)` is the network that config.json describes; its state_dict has the names of model.safetensors. In training
(`.train()`) batch normalisation uses the statistics of the batch and moves the stored ones; its scale and shift stay.
"""

import torch
from torch import nn
from torch.nn import functional

# Blocks of each layer.
DEPTHS = {"deeplabv2-resnet50": [3, 4, 6, 3], "deeplabv2-resnet101": [3, 4, 23, 3]}
# Of the branches of a head.
DILATIONS = [6, 12, 18, 24]


def norm(channels: int) -> nn.BatchNorm2d:
    """Scale and shift are not trained."""
    made = nn.BatchNorm2d(channels)
    for parameter in made.parameters():
        parameter.requires_grad_(False)
    return made


class Bottleneck(nn.Module):
    """1x1 with the stride, dilated 3x3, 1x1 to four times the channels; the shortcut is added before the last ReLU."""

    def __init__(self, inputs: int, middle: int, stride: int, dilation: int):
        super().__init__()
        outputs = 4 * middle
        self.conv1 = nn.Conv2d(inputs, middle, 1, stride, bias=False)
        self.bn1 = norm(middle)
        self.conv2 = nn.Conv2d(middle, middle, 3, padding=dilation, dilation=dilation, bias=False)
        self.bn2 = norm(middle)
        self.conv3 = nn.Conv2d(middle, outputs, 1, bias=False)
        self.bn3 = norm(outputs)
        if inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), norm(outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = functional.relu(self.bn1(self.conv1(x)))
        y = functional.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return functional.relu(y + (self.downsample(x) if hasattr(self, "downsample") else x))


def layer(blocks: int, inputs: int, middle: int, stride: int, dilation: int) -> nn.Sequential:
    """The first block has the stride and widens."""
    first = Bottleneck(inputs, middle, stride, dilation)
    return nn.Sequential(first, *(Bottleneck(4 * middle, middle, 1, dilation) for _ in range(1, blocks)))


class Head(nn.Module):
    """The sum of the first `summed` dilated convolutions; the others are in the file and not used."""

    def __init__(self, inputs: int, classes: int, summed: int):
        super().__init__()
        self.conv2d_list = nn.ModuleList(nn.Conv2d(inputs, classes, 3, padding=d, dilation=d) for d in DILATIONS)
        self.summed = summed

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return sum(branch(x) for branch in self.conv2d_list[: self.summed])


class Model(nn.Module):
    def __init__(self, config: dict):
        super().__init__()
        classes, depths, branches = config["num_labels"], DEPTHS[config["arch"]], config.get("branches", 4)
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = norm(64)
        self.layer1 = layer(depths[0], 64, 64, stride=1, dilation=1)
        self.layer2 = layer(depths[1], 256, 128, stride=2, dilation=1)
        self.layer3 = layer(depths[2], 512, 256, stride=1, dilation=2)
        self.layer4 = layer(depths[3], 1024, 512, stride=1, dilation=4)
        if config.get("multi_level", True):
            self.layer5 = Head(1024, classes, branches)
        self.layer6 = Head(2048, classes, branches)

    def levels(self, x: torch.Tensor):
        """Image N x 3 x H x W -> logits of the auxiliary head (None without one), and of the main one."""
        x = functional.relu(self.bn1(self.conv1(x)))
        x = functional.max_pool2d(x, 3, stride=2, padding=1, ceil_mode=True)
        middle = self.layer3(self.layer2(self.layer1(x)))
        main = self.layer6(self.layer4(middle))
        return (self.layer5(middle) if hasattr(self, "layer5") else None), main

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Image N x 3 x H x W -> logits of the main head, N x classes x h x w: h is an eighth of H, rounded up, or one more."""
        return self.levels(x)[1]
