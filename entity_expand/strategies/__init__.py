"""The ways in which seeds make a list, beside the search of the paper."""
