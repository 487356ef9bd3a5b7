"""Training: settings, backbones, the network, losses, the cache of frozen parts, checkpoints and the loop."""
