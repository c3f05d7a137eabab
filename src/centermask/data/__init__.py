"""Pictures and annotations in."""
