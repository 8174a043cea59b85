"""Measurements of the real service; each module is a program of its own."""
