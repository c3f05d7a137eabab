"""Geometry without parameters: boxes, masks and run-length codes."""
