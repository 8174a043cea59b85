-- The base currency of orders was cut from a spelling that symbols do not have here, so that it was the whole symbol:
-- the cooldown (which asks by base currency) did not find them. The position knows the instrument.

UPDATE monitoring.orders o
SET base = p.state -> 'instrument' ->> 'base'
FROM monitoring.positions p
WHERE p.id = o.position_id AND o.base = o.symbol AND p.state -> 'instrument' ->> 'base' IS NOT NULL;
