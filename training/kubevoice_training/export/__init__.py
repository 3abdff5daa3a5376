"""Networks to ONNX graphs and TorchScript, compared with torch."""
