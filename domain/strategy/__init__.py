"""The built-in strategy: from closed candles to a signal like any other."""
