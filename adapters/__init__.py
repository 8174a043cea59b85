"""The outside of Holdfast: exchanges, the paper exchange, signals, the admin socket. One package a subject."""
