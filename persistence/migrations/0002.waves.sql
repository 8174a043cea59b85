-- What a signal competed with and how it was judged, which source it came from, and the base currency of every order.

ALTER TABLE fas.signals
    ADD COLUMN source       text NOT NULL DEFAULT 'signal_feed',
    ADD COLUMN wave_account text,
    ADD COLUMN wave_name    text,
    ADD COLUMN wave_rank    integer,
    ADD COLUMN wave_size    integer,
    ADD COLUMN checks       jsonb;
CREATE INDEX signals_wave ON fas.signals (wave_account, wave_name) WHERE wave_name IS NOT NULL;
CREATE INDEX signals_source ON fas.signals (source, sequence DESC);

-- A venue's own name (BTCUSDT) had been taken for the base; the position knows better.
UPDATE monitoring.orders o SET base = p.state -> 'instrument' ->> 'base'
FROM monitoring.positions p
WHERE p.id = o.position_id AND o.base IS NOT NULL AND o.base <> p.state -> 'instrument' ->> 'base';
