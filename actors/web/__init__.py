"""The web component: an actor that serves HTTP, and what it answers. What a browser may see is decided here."""
