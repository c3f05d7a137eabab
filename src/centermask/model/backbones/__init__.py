"""Images to features C3, C4, C5 of strides 8, 16, 32."""
