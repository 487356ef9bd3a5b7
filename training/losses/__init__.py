"""The losses of training, each a plain function of tensors.

masked_entity_loss                       which entity is hidden here
instance_contrast_loss                   two views of a sample against all others of the batch
cluster_contrast_loss                    two views of a cluster against all other clusters
distillation_loss, distilled_entity_loss what the slow copy of the model predicts
masked_words, masked_word_loss           which words are hidden here
hard_negatives, matching_loss            whether a text and a picture belong together
image_text_targets, image_text_loss      texts against pictures

All take tensors of any device and change none of them. They compute in float32 at least, also under autocast: float16
and bfloat16 are widened first, float64 stays as it is.
"""

from __future__ import annotations

from training.losses.cluster import ClusterForm, cluster_contrast_loss
from training.losses.contrast import Estimator
from training.losses.distillation import DistillationForm, distillation_loss, distilled_entity_loss
from training.losses.entity import masked_entity_loss
from training.losses.image_text import ImageTextTargets, image_text_loss, image_text_targets
from training.losses.instance import instance_contrast_loss
from training.losses.matching import hard_negatives, matching_loss
from training.losses.words import MaskedWords, masked_word_loss, masked_words

__all__ = [
    "ClusterForm",
    "DistillationForm",
    "Estimator",
    "ImageTextTargets",
    "MaskedWords",
    "cluster_contrast_loss",
    "distillation_loss",
    "distilled_entity_loss",
    "hard_negatives",
    "image_text_loss",
    "image_text_targets",
    "instance_contrast_loss",
    "masked_entity_loss",
    "masked_word_loss",
    "masked_words",
    "matching_loss",
]
