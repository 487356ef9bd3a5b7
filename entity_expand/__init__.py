"""Give three examples, get the rest of the set: multi-modal entity set expansion.

This package is the runtime; it never imports torch.
"""

from entity_expand._version import __version__

__all__ = ["__version__"]
