"""Rendering: Kubernetes objects as plain dicts, the same bytes for the same VoiceModel."""
