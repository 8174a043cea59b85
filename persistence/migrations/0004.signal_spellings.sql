-- Signals are looked for by what their symbol means, whatever its spelling: all spellings of it are asked for, in capitals.

CREATE INDEX signals_spelled ON fas.signals (upper(btrim(pair_symbol) COLLATE "C"), sequence DESC);
DROP INDEX fas.signals_symbol;
