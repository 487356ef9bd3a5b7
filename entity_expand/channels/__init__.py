"""Channels: further voices beside the model's, such as words and pictures, and how they become one list."""
