"""The paper exchange: a simulated perpetual-futures venue, a program of its own.

Rules of this package:
- It imports nothing of Holdfast but itself, so that it can judge Holdfast and never shares a fault with it.
- `engine`, `book`, `orders`, `market` and `tape` know no clock, socket or thread; time comes in as venue milliseconds.
- A dialect (`binance_*`) translates between the wire of a venue and the engine; the engine knows no code of any venue.
"""
