"""A network as one file for ONNX Runtime, OpenVINO or torch.export, compared with PyTorch before it is kept."""
