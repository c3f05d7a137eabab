"""A network as numpy sees it, whatever runs it. PyTorch, ONNX Runtime and OpenVINO are imported only when asked for."""
