"""P3–P7 to boxes: the FCOS branch."""
