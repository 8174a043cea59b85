"""The exchanges: one interface in the core's words, and behind it all that knows ccxt or a code of a venue."""
