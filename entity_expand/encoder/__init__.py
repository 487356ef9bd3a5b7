"""Encoders: sentences with pictures in, entity features out."""

from entity_expand.encoder.encoders import Encoder, FakeEncoder, OnnxEncoder, open_encoder
from entity_expand.inputs.prepared import EncoderInput

__all__ = ["Encoder", "EncoderInput", "FakeEncoder", "OnnxEncoder", "open_encoder"]
