"""The oracle: judges the laws of LAWS.md from the exchange's own timeline, never from what Holdfast believes.

Rules of this package:
- It reads the timeline and nothing else, and imports nothing of Holdfast: a fault cannot hide on both sides.
- One pass, online: a line is read, the book takes it in, every law hears what happened; nothing is looked up later.
- Every excuse that a law grants is counted and reported beside the verdict.
"""
