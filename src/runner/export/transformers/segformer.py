"""A SegFormer with a head that `transformers` has no class for: its encoder is that of `transformers`, its head that of model.py.

    from transformers import AutoModelForSemanticSegmentation
    network = AutoModelForSemanticSegmentation.from_pretrained(folder, trust_remote_code=True)
"""

from torch import nn
from transformers import SegformerConfig, SegformerModel, SegformerPreTrainedModel
from transformers.modeling_outputs import SemanticSegmenterOutput

from .model import HEAD_CLASSES


class IntradaSegformerConfig(SegformerConfig):
    # A name of its own, so that no class of `transformers` is taken for it.
    model_type = "intrada-segformer"


class IntradaSegformerForSemanticSegmentation(SegformerPreTrainedModel):
    config_class = IntradaSegformerConfig

    def __init__(self, config: IntradaSegformerConfig):
        super().__init__(config)
        self.segformer = SegformerModel(config)
        for name, module in self.segformer.named_modules():
            # Of the released code. `transformers` has 1e-5 everywhere.
            if isinstance(module, nn.LayerNorm) and "patch_embeddings" not in name and ".attention." not in name:
                module.eps = 1e-6
        size = config.arch.removeprefix("segformer-")
        self.decode_head = HEAD_CLASSES[config.head](size, config.num_labels, config.classifier_dropout_prob)
        self.post_init()

    def forward(self, pixel_values, labels=None, output_hidden_states=None, return_dict=None, **kwargs):
        """Logits, at a quarter of the picture's sides; with `labels`, N x H x W, their cross-entropy."""
        found = self.segformer(pixel_values, output_hidden_states=True, return_dict=True, **kwargs)
        logits, loss = self.decode_head(list(found.hidden_states)), None
        if labels is not None:
            whole = nn.functional.interpolate(logits, size=labels.shape[-2:], mode="bilinear", align_corners=False)
            loss = nn.functional.cross_entropy(whole, labels, ignore_index=self.config.semantic_loss_ignore_index)
        maps = found.hidden_states if output_hidden_states else None
        output = SemanticSegmenterOutput(loss=loss, logits=logits, hidden_states=maps, attentions=found.attentions)
        return output.to_tuple() if return_dict is False else output
