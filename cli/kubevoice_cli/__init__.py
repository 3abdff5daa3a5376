"""The `kubevoice` command."""
