"""The network `small` in PyTorch: an encoder-decoder for small images.

`Model(config)` is the network that config.json describes; its state_dict has the names of model.safetensors. It computes the
same in training as in prediction: nothing is dropped, and group normalisation has no statistics.
"""

import torch
from torch import nn
from torch.nn import functional

# Channels at half the image's resolution; twice as many at a quarter.
WIDTH = 16


class Layer(nn.Module):
    """Convolution, group normalisation, ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, dilation: int = 1):
        super().__init__()
        padding = dilation * (kernel - 1) // 2
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, dilation, bias=False)
        self.norm = nn.GroupNorm(8, outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.relu(self.norm(self.conv(x)))


class Model(nn.Module):
    def __init__(self, config: dict):
        super().__init__()
        classes = config["num_labels"]
        self.encoder = nn.ModuleList(
            [
                Layer(3, WIDTH, 3, stride=2),  # 1/2
                Layer(WIDTH, WIDTH, 3),
                Layer(WIDTH, 2 * WIDTH, 3, stride=2),  # 1/4
                Layer(2 * WIDTH, 2 * WIDTH, 3, dilation=2),
                Layer(2 * WIDTH, 2 * WIDTH, 3, dilation=4),
                Layer(2 * WIDTH, 2 * WIDTH, 3, dilation=2),
            ]
        )
        self.fuse = Layer(3 * WIDTH, WIDTH, 1)
        if config.get("multi_level", True):
            self.aux = nn.Conv2d(2 * WIDTH, classes, 3, padding=1)
        self.main = nn.Conv2d(WIDTH, classes, 3, padding=1)

    def levels(self, x: torch.Tensor):
        """Image N x 3 x H x W -> logits of the auxiliary head at a quarter of it (None without one), of the main one at half."""
        half = self.encoder[1](self.encoder[0](x))
        middle = self.encoder[3](self.encoder[2](half))
        deep = self.encoder[5](self.encoder[4](middle))
        deep = functional.interpolate(deep, size=half.shape[2:], mode="bilinear", align_corners=True)
        main = self.main(self.fuse(torch.cat([half, deep], 1)))
        return (self.aux(middle) if hasattr(self, "aux") else None), main

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Image N x 3 x H x W -> logits of the main head, N x classes x H/2 x W/2, rounded up."""
        return self.levels(x)[1]
