"""ONNX files, read without onnx, and their graphs of operators as layers."""
