"""What a run leaves in its folder beside the checkpoints: metrics, events, curves, a model card; and what it says."""
