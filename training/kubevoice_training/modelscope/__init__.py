"""Import of ModelScope voices into our networks and bundles (docs/reference/modelscope-format.md)."""
