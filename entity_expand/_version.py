"""The version of the project, read by the build and written into artefacts."""

__version__ = "0.1.0"
