"""Graphs of operators as layers: of ONNX, and of what torch.export saves. See `graph`."""
