"""What an encoder is shown: sentences as token ids, pictures as pixels, and both made ready for a graph."""
