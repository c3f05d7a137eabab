"""P3–P5 and boxes to masks: the SAG-Mask branch."""
