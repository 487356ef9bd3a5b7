"""Export: from a checkpoint to a bundle that runs without torch, and the measured proof that they agree."""

from export.pack import export_checkpoint, export_source
from export.settings import ExportSettings, Source

__all__ = ["ExportSettings", "Source", "export_checkpoint", "export_source"]
