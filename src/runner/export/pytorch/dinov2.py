"""DINOv2 in PyTorch (arXiv 2304.07193, with registers 2309.16588): its vision transformer with a linear head.

`Model(config)` is the network that config.json describes; its state_dict has the names of model.safetensors. In training
(`.train()`) branches are dropped at the rate `drop_path`, 0 unless config.json has another, and the head's batch normalisation
uses the statistics of the batch and moves the stored ones.
"""

import torch
from torch import nn
from torch.nn import functional

# The side of a patch in pixels, and those of the grid of the learned positions in patches.
PATCH = 14
GRID = 37
REGISTERS = 4
# Channels of each head of attention.
HEAD_WIDTH = 64
# Channels and blocks.
SIZES = {"s": (384, 12), "b": (768, 12), "l": (1024, 24)}
# How many of the last layers a head sees.
LAYERS = {"linear": 1, "linear-4": 4}
# The smallest side of an image: of a single patch there is no variance, which training needs.
SMALLEST_SIDE = PATCH + 1


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
    def __init__(self, width: int):
        super().__init__()
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        images, tokens, width = x.shape
        query, key, value = self.qkv(x).view(images, tokens, 3, -1, HEAD_WIDTH).permute(2, 0, 3, 1, 4)
        attended = functional.scaled_dot_product_attention(query, key, value)
        return self.proj(attended.transpose(1, 2).reshape(images, tokens, width))


class Mlp(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc2(functional.gelu(self.fc1(x)))


class Scale(nn.Module):
    """A factor for each channel."""

    def __init__(self, width: int):
        super().__init__()
        self.gamma = nn.Parameter(torch.full([width], 1e-5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.gamma


class Block(nn.Module):
    def __init__(self, width: int, drop_path: float):
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attn = Attention(width)
        self.ls1 = Scale(width)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = Mlp(width)
        self.ls2 = Scale(width)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.drop_path(self.ls1(self.attn(self.norm1(x))))
        return x + self.drop_path(self.ls2(self.mlp(self.norm2(x))))


class PatchEmbedding(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.proj = nn.Conv2d(3, width, PATCH, stride=PATCH)


class VisionTransformer(nn.Module):
    def __init__(self, size: str, registers: bool, drop_path: float):
        super().__init__()
        width, depth = SIZES[size]
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + GRID * GRID, width))
        if registers:
            self.register_tokens = nn.Parameter(torch.zeros(1, REGISTERS, width))
        self.patch_embed = PatchEmbedding(width)
        rates = torch.linspace(0, drop_path, depth).tolist()
        self.blocks = nn.ModuleList(Block(width, rate) for rate in rates)
        self.norm = nn.LayerNorm(width, eps=1e-6)

    def positions(self, height: int, width: int) -> torch.Tensor:
        """Those of the class token and of a grid's cells: interpolated, with anti-aliasing where there are registers."""
        if (height, width) == (GRID, GRID):
            return self.pos_embed
        learned = self.pos_embed[:, 1:].reshape(1, GRID, GRID, -1).permute(0, 3, 1, 2)
        antialias = hasattr(self, "register_tokens")
        learned = functional.interpolate(
            learned, size=(height, width), mode="bicubic", align_corners=False, antialias=antialias
        )
        return torch.cat([self.pos_embed[:, :1], learned.flatten(2).transpose(1, 2)], 1)

    def forward(self, x: torch.Tensor, layers: int) -> list:
        """Image, its sides multiples of 14 -> the normalised maps of the last layers, the deepest last."""
        x = self.patch_embed.proj(x)
        images, channels, height, width = x.shape
        tokens = torch.cat([self.cls_token.expand(images, -1, -1), x.flatten(2).transpose(1, 2)], 1)
        tokens = tokens + self.positions(height, width)
        if hasattr(self, "register_tokens"):
            registers = self.register_tokens.expand(images, -1, -1)
            tokens = torch.cat([tokens[:, :1], registers, tokens[:, 1:]], 1)
        maps = []
        for index, block in enumerate(self.blocks):
            tokens = block(tokens)
            if index >= len(self.blocks) - layers:
                patches = self.norm(tokens[:, -height * width :])
                maps.append(patches.transpose(1, 2).reshape(images, channels, height, width))
        return maps


class LinearHead(nn.Module):
    """Batch normalisation and a 1x1 convolution on the maps of the last layers, the earliest first."""

    def __init__(self, channels: int, classes: int):
        super().__init__()
        self.bn = nn.BatchNorm2d(channels)
        self.conv_seg = nn.Conv2d(channels, classes, 1)

    def forward(self, maps: list) -> torch.Tensor:
        return self.conv_seg(self.bn(torch.cat(maps, 1)))


class Model(nn.Module):
    def __init__(self, config: dict):
        super().__init__()
        name, _, registers = config["arch"].removeprefix("dinov2-vit").partition("14")
        self.layers = LAYERS[config.get("head", "linear")]
        self.backbone = VisionTransformer(name, registers == "-reg", config.get("drop_path", 0.0))
        self.decode_head = LinearHead(SIZES[name][0] * self.layers, config["num_labels"])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Image N x 3 x H x W -> logits, N x classes x H/14 x W/14; at the image's own size where a side is no multiple of 14.

        Such an image gets zeros, its mean colour, on both sides, and their part of the logits is cut off.
        """
        height, width = x.shape[2:]
        if min(height, width) < SMALLEST_SIDE:
            raise ValueError(f"an image of {width}x{height} pixels is too small: this network needs {SMALLEST_SIDE} a side")
        down, right = -height % PATCH, -width % PATCH
        if not down and not right:
            return self.decode_head(self.backbone(x, self.layers))
        top, left = down // 2, right // 2
        padded = functional.pad(x, (left, right - left, top, down - top))
        logits = self.decode_head(self.backbone(padded, self.layers))
        logits = functional.interpolate(logits, size=padded.shape[2:], mode="bilinear", align_corners=False)
        return logits[:, :, top : top + height, left : left + width]
