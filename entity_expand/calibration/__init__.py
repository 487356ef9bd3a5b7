"""How sure an expansion is of its results, and where its list is likely to end: fitted on known sets."""
