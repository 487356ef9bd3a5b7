"""The bundle: the folder that export hands over, which runs without torch and is checked when it is opened."""

from entity_expand.bundle.folder import Bundle, BundleContent, write_bundle

__all__ = ["Bundle", "BundleContent", "write_bundle"]
