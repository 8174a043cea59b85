-- What all executions of an account came to is kept, in the transaction that writes them: a sum over the whole history
-- need never be made again. And a fee that was not paid in USDT is no longer counted as if it were.

-- What a fee in another coin was worth in USDT when it was paid; NULL: nobody knew it then (or the fee was in USDT).
ALTER TABLE monitoring.trades ADD COLUMN fee_converted numeric;
-- {asset: amount} of the fees that are in `fees` by no price.
ALTER TABLE monitoring.positions ADD COLUMN fees_apart jsonb;

-- NULL: not known. Also for the rows of an older program, which knows no column `fee_converted`.
CREATE FUNCTION monitoring.fee_usdt(fee numeric, currency text, converted numeric) RETURNS numeric
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN currency = 'USDT' THEN fee ELSE converted END
$$;

CREATE TABLE monitoring.trade_totals (
    account    text PRIMARY KEY,
    net_pnl    numeric NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE TRIGGER touch BEFORE UPDATE ON monitoring.trade_totals FOR EACH ROW EXECUTE FUNCTION monitoring.touch();

-- Rows are locked in one order, so that two writers wait for each other and never in a circle.
CREATE FUNCTION monitoring.add_trades() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO monitoring.trade_totals AS kept (account, net_pnl)
    SELECT account, sum(realized_pnl - coalesce(monitoring.fee_usdt(fee, fee_currency, fee_converted), 0))
    FROM come GROUP BY account ORDER BY account
    ON CONFLICT (account) DO UPDATE SET net_pnl = kept.net_pnl + excluded.net_pnl;
    RETURN NULL;
END
$$;
CREATE FUNCTION monitoring.subtract_trades() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO monitoring.trade_totals AS kept (account, net_pnl)
    SELECT account, -sum(realized_pnl - coalesce(monitoring.fee_usdt(fee, fee_currency, fee_converted), 0))
    FROM gone GROUP BY account ORDER BY account
    ON CONFLICT (account) DO UPDATE SET net_pnl = kept.net_pnl + excluded.net_pnl;
    RETURN NULL;
END
$$;
CREATE TRIGGER added AFTER INSERT ON monitoring.trades REFERENCING NEW TABLE AS come
    FOR EACH STATEMENT EXECUTE FUNCTION monitoring.add_trades();
CREATE TRIGGER deleted AFTER DELETE ON monitoring.trades REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION monitoring.subtract_trades();
-- The program never changes an execution; who corrects one by hand leaves the sum right as well.
CREATE TRIGGER changed_from AFTER UPDATE ON monitoring.trades REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION monitoring.subtract_trades();
CREATE TRIGGER changed_to AFTER UPDATE ON monitoring.trades REFERENCING NEW TABLE AS come
    FOR EACH STATEMENT EXECUTE FUNCTION monitoring.add_trades();

-- The triggers hold the table since they were made: nobody writes between them and this sum.
INSERT INTO monitoring.trade_totals (account, net_pnl)
SELECT account, sum(realized_pnl - coalesce(monitoring.fee_usdt(fee, fee_currency, fee_converted), 0))
FROM monitoring.trades GROUP BY account;
