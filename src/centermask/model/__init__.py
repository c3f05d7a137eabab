"""The network, in the order in which an image travels through it."""
