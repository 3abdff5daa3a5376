"""Voices as ModelScope publishes them, read into our networks and written as bundles (facts file §6)."""
