"""The paper's search, without I/O: scores of stored rows, a set that grows, the proof that no other would join."""
