"""The network `efficientnet-lite0` in PyTorch: EfficientNet-Lite0 (arXiv 1905.11946) with the classifiers of DeepLab-v2.

`Model(config)` is the network that config.json describes; its state_dict has the names of model.safetensors. It computes the
same in training as in prediction: batch normalisation uses the stored statistics, which never change; its scale and shift
are trained.
"""

import torch
from torch import nn
from torch.nn import functional

# Repeats, kernel, stride of the first, expansion, input and output channels.
GROUPS = [
    (1, 3, 1, 1, 32, 16),
    (2, 3, 2, 6, 16, 24),
    (2, 5, 2, 6, 24, 40),
    (3, 3, 2, 6, 40, 80),
    (3, 5, 1, 6, 80, 112),
    (4, 5, 2, 6, 112, 192),
    (1, 3, 1, 6, 192, 320),
]
# The block after which the auxiliary head looks.
AUX_BLOCK = 10
# Of the branches of a head.
DILATIONS = [2, 4, 6, 8]


class FrozenBatchNorm(nn.Module):
    """Batch normalisation by the stored statistics, in training too."""

    def __init__(self, channels: int):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=1e-3)


class PaddedConv(nn.Conv2d):
    """A convolution with TensorFlow's "same" padding: an odd pixel of padding is on the right and below."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        around = []
        # From the last side to the first, as `pad` takes them.
        for side in (1, 0):
            length, stride = x.shape[2 + side], self.stride[side]
            needed = (-(-length // stride) - 1) * stride + self.dilation[side] * (self.kernel_size[side] - 1) + 1
            padding = max(0, needed - length)
            around += [padding // 2, padding - padding // 2]
        return super().forward(functional.pad(x, around))


class Block(nn.Module):
    """1x1 expansion, depthwise convolution, 1x1 projection; what came in is added where `residual`."""

    def __init__(self, inputs: int, outputs: int, expansion: int, kernel: int, stride: int, dilation: int, residual: bool):
        super().__init__()
        middle = inputs * expansion
        if expansion > 1:
            self._expand_conv = nn.Conv2d(inputs, middle, 1, bias=False)
            self._bn0 = FrozenBatchNorm(middle)
        self._depthwise_conv = PaddedConv(middle, middle, kernel, stride, 0, dilation, groups=middle, bias=False)
        self._bn1 = FrozenBatchNorm(middle)
        self._project_conv = nn.Conv2d(middle, outputs, 1, bias=False)
        self._bn2 = FrozenBatchNorm(outputs)
        self.residual = residual

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = functional.relu6(self._bn0(self._expand_conv(x))) if hasattr(self, "_expand_conv") else x
        y = functional.relu6(self._bn1(self._depthwise_conv(y)))
        y = self._bn2(self._project_conv(y))
        return y + x if self.residual else y


class Head(nn.Module):
    """The sum of dilated convolutions."""

    def __init__(self, inputs: int, classes: int):
        super().__init__()
        self.conv2d_list = nn.ModuleList(nn.Conv2d(inputs, classes, 3, padding=d, dilation=d) for d in DILATIONS)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return sum(branch(x) for branch in self.conv2d_list)


def blocks(output_stride: int) -> list:
    """All blocks. Once the grid has the output stride, each further stride of 2 doubles the dilation of later blocks instead."""
    made, reached, dilation = [], 2, 1
    for repeats, kernel, first_stride, expansion, inputs, outputs in GROUPS:
        for repeat in range(repeats):
            wanted = first_stride if repeat == 0 else 1
            stride = 1 if reached * wanted > output_stride else wanted
            before = inputs if repeat == 0 else outputs
            residual = wanted == 1 and before == outputs
            made.append(Block(before, outputs, expansion, kernel, stride, dilation, residual))
            reached *= stride
            dilation *= wanted // stride
    return made


class Model(nn.Module):
    def __init__(self, config: dict):
        super().__init__()
        classes = config["num_labels"]
        self._conv_stem = PaddedConv(3, 32, 3, stride=2, bias=False)
        self._bn0 = FrozenBatchNorm(32)
        self._blocks = nn.ModuleList(blocks(config.get("output_stride", 8)))
        if config.get("multi_level", True):
            self.layer5 = Head(112, classes)
        self.layer6 = Head(320, classes)

    def levels(self, x: torch.Tensor):
        """Image N x 3 x H x W -> logits of the auxiliary head (None without one), and of the main one."""
        x, aux = functional.relu6(self._bn0(self._conv_stem(x))), None
        for index, block in enumerate(self._blocks):
            x = block(x)
            if index == AUX_BLOCK and hasattr(self, "layer5"):
                aux = self.layer5(x)
        return aux, self.layer6(x)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Image N x 3 x H x W -> logits of the main head, N x classes x h x w: h is H by the output stride, rounded up."""
        return self.levels(x)[1]
