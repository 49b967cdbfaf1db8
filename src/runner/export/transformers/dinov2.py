"""DINOv2 with a linear head, which `transformers` has no class for: its encoder is that of `transformers`, its head that of
model.py.

    from transformers import AutoModelForSemanticSegmentation
    network = AutoModelForSemanticSegmentation.from_pretrained(folder, trust_remote_code=True)
"""

from torch import nn
from transformers import (
    Dinov2Config,
    Dinov2Model,
    Dinov2PreTrainedModel,
    Dinov2WithRegistersConfig,
    Dinov2WithRegistersModel,
    Dinov2WithRegistersPreTrainedModel,
)
from transformers.modeling_outputs import SemanticSegmenterOutput

from .model import LAYERS, PATCH, LinearHead


class IntradaDinov2Config(Dinov2Config):
    # A name of its own, so that no class of `transformers` is taken for it.
    model_type = "intrada-dinov2"


class IntradaDinov2WithRegistersConfig(Dinov2WithRegistersConfig):
    model_type = "intrada-dinov2-with-registers"


class Segmenter:
    """What both have in common."""

    base_model_prefix = "dinov2"

    def assemble(self, config, encoder) -> None:
        self.dinov2 = encoder(config)
        # What stands for masked patches, in the pretraining alone.
        self.dinov2.embeddings.mask_token = None
        self.layers = LAYERS[config.head]
        self.decode_head = LinearHead(config.hidden_size * self.layers, config.num_labels)
        self.post_init()

    def maps(self, pixel_values, **kwargs):
        """A picture, sides multiples of 14 -> the normalised maps of the last layers, the earliest first; all outputs."""
        found = self.dinov2(pixel_values, output_hidden_states=True, return_dict=True, **kwargs)
        height, width = (side // PATCH for side in pixel_values.shape[2:])
        patches = (self.dinov2.layernorm(tokens)[:, -height * width :] for tokens in found.hidden_states[-self.layers :])
        return [tokens.transpose(1, 2).reshape(len(tokens), -1, height, width) for tokens in patches], found

    def forward(self, pixel_values, labels=None, output_hidden_states=None, return_dict=None, **kwargs):
        """Logits; with `labels`, N x H x W, their cross-entropy.

        They are at a 14th of the picture's sides. Sides that are no multiples of 14 are padded with zeros, and the logits are
        then at the picture's own size.
        """
        height, width = pixel_values.shape[2:]
        down, right = -height % PATCH, -width % PATCH
        top, left = down // 2, right // 2
        padded = nn.functional.pad(pixel_values, (left, right - left, top, down - top))
        maps, found = self.maps(padded, **kwargs)
        logits, loss = self.decode_head(maps), None
        if down or right:
            logits = nn.functional.interpolate(logits, size=padded.shape[2:], mode="bilinear", align_corners=False)
            logits = logits[:, :, top : top + height, left : left + width]
        if labels is not None:
            whole = nn.functional.interpolate(logits, size=labels.shape[-2:], mode="bilinear", align_corners=False)
            loss = nn.functional.cross_entropy(whole, labels, ignore_index=self.config.semantic_loss_ignore_index)
        states = found.hidden_states if output_hidden_states else None
        output = SemanticSegmenterOutput(loss=loss, logits=logits, hidden_states=states, attentions=found.attentions)
        return output.to_tuple() if return_dict is False else output


class IntradaDinov2ForSemanticSegmentation(Segmenter, Dinov2PreTrainedModel):
    config_class = IntradaDinov2Config

    def __init__(self, config: IntradaDinov2Config):
        super().__init__(config)
        self.assemble(config, Dinov2Model)


class IntradaDinov2WithRegistersForSemanticSegmentation(Segmenter, Dinov2WithRegistersPreTrainedModel):
    config_class = IntradaDinov2WithRegistersConfig

    def __init__(self, config: IntradaDinov2WithRegistersConfig):
        super().__init__(config)
        self.assemble(config, Dinov2WithRegistersModel)
