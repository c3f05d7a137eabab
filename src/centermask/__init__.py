"""Instance segmentation with CenterMask."""

__version__ = "0.1.0"
