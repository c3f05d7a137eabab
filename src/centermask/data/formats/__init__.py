"""Annotation formats: how each lies in a folder, is read into COCO's words, and is written."""
