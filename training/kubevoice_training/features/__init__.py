"""Frame features of recordings: how they are computed, stored and normalised."""
