"""Experiments as commands: `python -m training.experiments NAME CORPUS`; see docs/experiments.md."""
