CREATE INDEX signals_symbol ON fas.signals (pair_symbol, sequence DESC);
DROP INDEX fas.signals_spelled;
