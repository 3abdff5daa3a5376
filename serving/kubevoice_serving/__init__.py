"""Serving: an ONNX Runtime engine behind FastAPI on Ray Serve. Never imports torch."""
