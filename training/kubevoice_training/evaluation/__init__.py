"""Metrics of recordings and of generated speech, and the reports of them."""
