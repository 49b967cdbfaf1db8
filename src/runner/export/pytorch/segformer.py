"""SegFormer in PyTorch (arXiv 2105.15203): a Mix Transformer with its own head, mmsegmentation's form of it, or DAFormer's
(arXiv 2111.14887).

`Model(config)` is the network that config.json describes; its state_dict has the names of model.safetensors. In training
(`.train()`) branches and channels are dropped at the rates `drop_path` and `dropout`, 0.1 unless config.json has others, and the
head's batch normalisation uses the statistics of the batch and moves the stored ones.
"""

import torch
from torch import nn
from torch.nn import functional

# Channels of each stage's map, and blocks of each stage.
SIZES = {
    "b0": ([32, 64, 160, 256], [2, 2, 2, 2]),
    "b1": ([64, 128, 320, 512], [2, 2, 2, 2]),
    "b2": ([64, 128, 320, 512], [3, 4, 6, 3]),
    "b3": ([64, 128, 320, 512], [3, 4, 18, 3]),
    "b4": ([64, 128, 320, 512], [3, 8, 27, 3]),
    "b5": ([64, 128, 320, 512], [3, 6, 40, 3]),
}
# Heads of attention of each stage.
HEADS = [1, 2, 5, 8]
# The sides of the squares of cells that share a key and a value.
REDUCTIONS = [8, 4, 2, 1]
# The smallest side of an image: of a smaller one the first stage has no key.
SMALLEST_SIDE = 29


def rows(x: torch.Tensor) -> torch.Tensor:
    """A map N x d x h x w -> its cells, N x hw x d."""
    return x.flatten(2).transpose(1, 2)


def as_map(cells: torch.Tensor, height: int, width: int) -> torch.Tensor:
    return cells.transpose(1, 2).reshape(len(cells), -1, height, width)


def resized_like(x: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    return functional.interpolate(x, size=other.shape[2:], mode="bilinear", align_corners=False)


class DropPath(nn.Module):
    """In training a branch is left out for a whole image, with the probability `rate`, and else scaled by 1 / (1 - rate)."""

    def __init__(self, rate: float):
        super().__init__()
        self.rate = rate

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training or self.rate == 0:
            return x
        kept = torch.rand(len(x), *[1] * (x.dim() - 1), device=x.device) >= self.rate
        return x * kept.to(x.dtype) / (1 - self.rate)


class Attention(nn.Module):
    """Keys and values come from a grid that is coarser by `reduction`."""

    def __init__(self, channels: int, heads: int, reduction: int):
        super().__init__()
        self.heads = heads
        self.q = nn.Linear(channels, channels)
        self.kv = nn.Linear(channels, 2 * channels)
        if reduction > 1:
            self.sr = nn.Conv2d(channels, channels, reduction, stride=reduction)
            self.norm = nn.LayerNorm(channels, eps=1e-5)
        self.proj = nn.Linear(channels, channels)

    def forward(self, x: torch.Tensor, height: int, width: int) -> torch.Tensor:
        images, cells, channels = x.shape
        size = channels // self.heads
        query = self.q(x).view(images, cells, self.heads, size).transpose(1, 2)
        coarse = self.norm(rows(self.sr(as_map(x, height, width)))) if hasattr(self, "sr") else x
        key, value = self.kv(coarse).view(images, -1, 2, self.heads, size).permute(2, 0, 3, 1, 4)
        attended = functional.scaled_dot_product_attention(query, key, value)
        return self.proj(attended.transpose(1, 2).reshape(images, cells, channels))


class Depthwise(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.dwconv = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)


class MixFfn(nn.Module):
    """Two linear layers with a depthwise convolution in between."""

    def __init__(self, channels: int):
        super().__init__()
        self.fc1 = nn.Linear(channels, 4 * channels)
        self.dwconv = Depthwise(4 * channels)
        self.fc2 = nn.Linear(4 * channels, channels)

    def forward(self, x: torch.Tensor, height: int, width: int) -> torch.Tensor:
        wide = self.dwconv.dwconv(as_map(self.fc1(x), height, width))
        return self.fc2(functional.gelu(rows(wide)))


class Block(nn.Module):
    def __init__(self, channels: int, heads: int, reduction: int, drop_path: float):
        super().__init__()
        self.norm1 = nn.LayerNorm(channels, eps=1e-6)
        self.attn = Attention(channels, heads, reduction)
        self.norm2 = nn.LayerNorm(channels, eps=1e-6)
        self.mlp = MixFfn(channels)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: torch.Tensor, height: int, width: int) -> torch.Tensor:
        x = x + self.drop_path(self.attn(self.norm1(x), height, width))
        return x + self.drop_path(self.mlp(self.norm2(x), height, width))


class PatchEmbedding(nn.Module):
    """Overlapping patches."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int):
        super().__init__()
        self.proj = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2)
        self.norm = nn.LayerNorm(outputs, eps=1e-5)


class MixTransformer(nn.Module):
    def __init__(self, size: str, drop_path: float):
        super().__init__()
        channels, depths = SIZES[size]
        rates = iter(torch.linspace(0, drop_path, sum(depths)).tolist())
        for stage in range(4):
            inputs, (kernel, stride) = (channels[stage - 1], (3, 2)) if stage else (3, (7, 4))
            made = [Block(channels[stage], HEADS[stage], REDUCTIONS[stage], next(rates)) for _ in range(depths[stage])]
            setattr(self, f"patch_embed{stage + 1}", PatchEmbedding(inputs, channels[stage], kernel, stride))
            setattr(self, f"block{stage + 1}", nn.ModuleList(made))
            setattr(self, f"norm{stage + 1}", nn.LayerNorm(channels[stage], eps=1e-6))

    def forward(self, x: torch.Tensor) -> list:
        """Image -> each stage's map, at a 4th, 8th, 16th and 32nd of its sides, rounded up."""
        maps = []
        for stage in range(1, 5):
            embedding = getattr(self, f"patch_embed{stage}")
            x = embedding.proj(x)
            height, width = x.shape[2:]
            x = embedding.norm(rows(x))
            for block in getattr(self, f"block{stage}"):
                x = block(x, height, width)
            x = as_map(getattr(self, f"norm{stage}")(x), height, width)
            maps.append(x)
        return maps


class Projection(nn.Module):
    """A linear layer on the channels of a map."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.proj = nn.Linear(inputs, outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.proj(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class ConvModule(nn.Module):
    """A convolution that keeps the size, batch normalisation, ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 1, dilation: int = 1, groups: int = 1):
        super().__init__()
        padding = dilation * (kernel - 1) // 2
        self.conv = nn.Conv2d(inputs, outputs, kernel, 1, padding, dilation, groups, bias=False)
        self.bn = nn.BatchNorm2d(outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.relu(self.bn(self.conv(x)))


class SegFormerHead(nn.Module):
    """SegFormer's own: the coarsest map is concatenated first."""

    def __init__(self, size: str, classes: int, dropout: float):
        super().__init__()
        width = 256 if size in ("b0", "b1") else 768
        for stage, channels in enumerate(SIZES[size][0], 1):
            setattr(self, f"linear_c{stage}", Projection(channels, width))
        self.linear_fuse = ConvModule(4 * width, width)
        self.dropout = nn.Dropout2d(dropout)
        self.linear_pred = nn.Conv2d(width, classes, 1)

    def forward(self, maps: list) -> torch.Tensor:
        levels = [resized_like(getattr(self, f"linear_c{stage}")(x), maps[0]) for stage, x in enumerate(maps, 1)]
        return self.linear_pred(self.dropout(self.linear_fuse(torch.cat(levels[::-1], 1))))


class MmsegHead(nn.Module):
    """mmsegmentation's form of it: more normalisation, the finest map first."""

    def __init__(self, size: str, classes: int, dropout: float):
        super().__init__()
        self.convs = nn.ModuleList(ConvModule(channels, 256) for channels in SIZES[size][0])
        self.fusion_conv = ConvModule(4 * 256, 256)
        self.dropout = nn.Dropout2d(dropout)
        self.conv_seg = nn.Conv2d(256, classes, 1)

    def forward(self, maps: list) -> torch.Tensor:
        levels = [resized_like(conv(x), maps[0]) for conv, x in zip(self.convs, maps)]
        return self.conv_seg(self.dropout(self.fusion_conv(torch.cat(levels, 1))))


class Separable(nn.Module):
    """A depthwise dilated convolution and a 1x1."""

    def __init__(self, inputs: int, outputs: int, dilation: int):
        super().__init__()
        self.depthwise_conv = ConvModule(inputs, inputs, 3, dilation, groups=inputs)
        self.pointwise_conv = ConvModule(inputs, outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.pointwise_conv(self.depthwise_conv(x))


class FuseLayer(nn.Module):
    """Dilated convolutions side by side, and one over all of them."""

    def __init__(self, inputs: int, width: int):
        super().__init__()
        separable = [Separable(inputs, width, dilation) for dilation in (6, 12, 18)]
        self.aspp_modules = nn.ModuleList([ConvModule(inputs, width), *separable])
        self.bottleneck = ConvModule(4 * width, width, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.bottleneck(torch.cat([module(x) for module in self.aspp_modules], 1))


class DaFormerHead(nn.Module):
    """DAFormer's: the finest map first, then context by dilated convolutions."""

    def __init__(self, size: str, classes: int, dropout: float):
        super().__init__()
        self.embed_layers = nn.ModuleList(Projection(channels, 256) for channels in SIZES[size][0])
        self.fuse_layer = FuseLayer(4 * 256, 256)
        self.dropout = nn.Dropout2d(dropout)
        self.conv_seg = nn.Conv2d(256, classes, 1)

    def forward(self, maps: list) -> torch.Tensor:
        levels = [resized_like(embed(x), maps[0]) for embed, x in zip(self.embed_layers, maps)]
        return self.conv_seg(self.dropout(self.fuse_layer(torch.cat(levels, 1))))


HEAD_CLASSES = {"segformer": SegFormerHead, "segformer-mmseg": MmsegHead, "daformer": DaFormerHead}


class Model(nn.Module):
    def __init__(self, config: dict):
        super().__init__()
        size = config["arch"].removeprefix("segformer-")
        head = HEAD_CLASSES[config.get("head", "segformer")]
        self.backbone = MixTransformer(size, config.get("drop_path", 0.1))
        self.decode_head = head(size, config["num_labels"], config.get("dropout", 0.1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Image N x 3 x H x W -> logits, N x classes x H/4 x W/4, rounded up."""
        if min(x.shape[2:]) < SMALLEST_SIDE:
            width, height = x.shape[3], x.shape[2]
            raise ValueError(f"an image of {width}x{height} pixels is too small: this network needs {SMALLEST_SIDE} a side")
        return self.decode_head(self.backbone(x))
