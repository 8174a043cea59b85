-- The whole memory of Holdfast (INTERFACE 'Database'). Money is NUMERIC, time TIMESTAMPTZ, states are lower-case.
-- What binds a row to a position is a RESTRICT foreign key, except in the journal (events, alerts, signals): what
-- happened must always find a place, also when the position it tells of was never written.

CREATE SCHEMA IF NOT EXISTS monitoring;
CREATE SCHEMA IF NOT EXISTS fas;

CREATE FUNCTION monitoring.touch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at := now();
    RETURN NEW;
END
$$;

CREATE TABLE monitoring.instance (
    only_row   boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    code       text NOT NULL CHECK (code ~ '^[0-9a-z]{4}$'),
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE monitoring.account_terms (
    exchange    text NOT NULL,
    fingerprint text NOT NULL,
    term        bigint NOT NULL CHECK (term > 0),
    holder      text NOT NULL,
    taken_at    timestamptz NOT NULL,
    beat_at     timestamptz NOT NULL,
    released    boolean NOT NULL DEFAULT false,
    PRIMARY KEY (exchange, fingerprint)
);

CREATE TABLE monitoring.service_facts (
    key        text PRIMARY KEY,
    value      jsonb,
    updated_at timestamptz NOT NULL DEFAULT now()
);

-- One row a Record: the row is what makes a second writing of the same Record do nothing.
CREATE TABLE monitoring.transaction_log (
    record_id   text PRIMARY KEY,
    recorded_at timestamptz NOT NULL,
    written_at  timestamptz NOT NULL DEFAULT now(),
    duration_ms numeric NOT NULL,
    row_count   integer NOT NULL
);
CREATE INDEX transaction_log_written_at ON monitoring.transaction_log (written_at);

CREATE TABLE fas.signals (
    id                 text PRIMARY KEY,
    sequence           bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    pair_symbol        text NOT NULL,
    exchange_name      text NOT NULL,
    account            text,
    recommended_action text NOT NULL,
    score_week         numeric,
    score_month        numeric,
    wave               text,
    raw                jsonb NOT NULL,
    created_at         timestamptz NOT NULL,
    received_at        timestamptz NOT NULL,
    is_processed       boolean NOT NULL DEFAULT false,
    outcome            text,
    outcome_figures    jsonb,
    processed_at       timestamptz,
    position_id        bigint,
    updated_at         timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX signals_unprocessed ON fas.signals (sequence) WHERE NOT is_processed;
CREATE INDEX signals_symbol ON fas.signals (pair_symbol, sequence DESC);
CREATE INDEX signals_position ON fas.signals (position_id) WHERE position_id IS NOT NULL;
CREATE TRIGGER touch BEFORE UPDATE ON fas.signals FOR EACH ROW EXECUTE FUNCTION monitoring.touch();

-- `state` is the whole position as the core knows it; the other columns are read from it for those who query.
CREATE TABLE monitoring.positions (
    id                        bigint PRIMARY KEY,
    trade_id                  text,
    account                   text NOT NULL,
    exchange                  text NOT NULL,
    symbol                    text NOT NULL,
    side                      text NOT NULL CHECK (side IN ('long', 'short')),
    status                    text NOT NULL,
    open                      boolean NOT NULL,
    quantity                  numeric NOT NULL,
    entry_price               numeric,
    current_price             numeric,
    mark_price                numeric,
    unrealized_pnl            numeric,
    unrealized_pnl_percent    numeric,
    liquidation_price         numeric,
    has_stop_loss             boolean NOT NULL,
    stop_loss_price           numeric,
    stop_loss_order_id        text,
    has_trailing_stop         boolean NOT NULL,
    trailing_activated        boolean NOT NULL,
    trailing_activation_price numeric,
    trailing_callback_rate    numeric,
    exit_price                numeric,
    realized_pnl              numeric NOT NULL,
    fees                      numeric NOT NULL,
    exit_reason               text,
    unprotected_seconds       numeric NOT NULL,
    needs_intervention        boolean NOT NULL,
    adopted                   boolean NOT NULL,
    signal_id                 text,
    signal_key                text,
    correlation_id            text NOT NULL,
    term                      bigint NOT NULL,
    incarnation               bigint NOT NULL,
    version                   bigint NOT NULL,
    state                     jsonb NOT NULL,
    opened_at                 timestamptz NOT NULL,
    closed_at                 timestamptz,
    last_update               timestamptz NOT NULL,
    created_at                timestamptz NOT NULL DEFAULT now(),
    updated_at                timestamptz NOT NULL DEFAULT now()
);
-- One signal opens one position (LAWS S7); the key holds the signal's minute, so it never needs to be used again.
CREATE UNIQUE INDEX positions_one_a_signal ON monitoring.positions (account, signal_id) WHERE signal_id IS NOT NULL;
CREATE UNIQUE INDEX positions_one_a_key ON monitoring.positions (account, signal_key) WHERE signal_key IS NOT NULL;
CREATE INDEX positions_open ON monitoring.positions (account, id) WHERE open;
CREATE INDEX positions_status ON monitoring.positions (status);
CREATE INDEX positions_place ON monitoring.positions (exchange, symbol, status);
CREATE INDEX positions_opened_at ON monitoring.positions (opened_at);
CREATE INDEX positions_closed_at ON monitoring.positions (closed_at) WHERE closed_at IS NOT NULL;
CREATE INDEX positions_correlation ON monitoring.positions (correlation_id);
CREATE TRIGGER touch BEFORE UPDATE ON monitoring.positions FOR EACH ROW EXECUTE FUNCTION monitoring.touch();

CREATE TABLE monitoring.trailing_stop_state (
    position_id        bigint PRIMARY KEY REFERENCES monitoring.positions ON DELETE RESTRICT,
    state              text NOT NULL,
    highest_price      numeric,
    lowest_price       numeric,
    activation_price   numeric,
    callback_rate      numeric NOT NULL,
    current_stop_price numeric,
    update_count       bigint NOT NULL,
    last_moved_at      timestamptz,
    created_at         timestamptz NOT NULL DEFAULT now(),
    updated_at         timestamptz NOT NULL DEFAULT now()
);
CREATE TRIGGER touch BEFORE UPDATE ON monitoring.trailing_stop_state
    FOR EACH ROW EXECUTE FUNCTION monitoring.touch();

-- An order that a position lists but whose intent was not ours to write (adopted) has no intent columns.
CREATE TABLE monitoring.orders (
    id                  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    client_id           text NOT NULL UNIQUE,
    exchange_id         text,
    position_id         bigint NOT NULL REFERENCES monitoring.positions ON DELETE RESTRICT,
    account             text,
    symbol              text,
    base                text,
    kind                text,
    side                text,
    position_side       text,
    quantity            numeric,
    trigger_price       numeric,
    reduce_only         boolean,
    intent              jsonb,
    intent_at           timestamptz,
    status              text NOT NULL,
    status_at           timestamptz NOT NULL,
    cumulative_quantity numeric NOT NULL DEFAULT 0,
    average_price       numeric,
    reason              text,
    created_at          timestamptz NOT NULL DEFAULT now(),
    updated_at          timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX orders_position ON monitoring.orders (position_id, id);
CREATE INDEX orders_exchange_id ON monitoring.orders (exchange_id) WHERE exchange_id IS NOT NULL;
CREATE INDEX orders_status ON monitoring.orders (status);
CREATE INDEX orders_cooldown ON monitoring.orders (account, base, intent_at DESC) WHERE intent_at IS NOT NULL;
CREATE TRIGGER touch BEFORE UPDATE ON monitoring.orders FOR EACH ROW EXECUTE FUNCTION monitoring.touch();

CREATE TABLE monitoring.trades (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account       text NOT NULL,
    exchange      text NOT NULL,
    symbol        text NOT NULL,
    trade_id      text NOT NULL,
    position_id   bigint NOT NULL REFERENCES monitoring.positions ON DELETE RESTRICT,
    order_id      text NOT NULL,
    client_id     text,
    side          text NOT NULL,
    position_side text,
    quantity      numeric NOT NULL,
    price         numeric NOT NULL,
    fee           numeric NOT NULL,
    fee_currency  text NOT NULL,
    realized_pnl  numeric NOT NULL,
    liquidation   boolean NOT NULL,
    executed_at   timestamptz NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now(),
    UNIQUE (account, exchange, symbol, trade_id)
);
CREATE INDEX trades_position ON monitoring.trades (position_id, id);
CREATE INDEX trades_executed_at ON monitoring.trades (executed_at);

-- The default partition takes what a stepped clock or an old spool brings; `ensure_partitions` moves it to its month.
CREATE TABLE monitoring.events (
    id             bigint GENERATED ALWAYS AS IDENTITY,
    event_type     text NOT NULL,
    event_data     jsonb NOT NULL,
    severity       text NOT NULL,
    correlation_id text,
    position_id    bigint,
    order_id       text,
    account        text,
    symbol         text,
    exchange       text,
    error_message  text,
    stack_trace    text,
    created_at     timestamptz NOT NULL,
    PRIMARY KEY (id, created_at)
) PARTITION BY RANGE (created_at);
CREATE TABLE monitoring.events_default PARTITION OF monitoring.events DEFAULT;
CREATE INDEX events_type ON monitoring.events (event_type, id);
CREATE INDEX events_symbol ON monitoring.events (symbol, id) WHERE symbol IS NOT NULL;
CREATE INDEX events_severity ON monitoring.events (severity, id);
CREATE INDEX events_correlation ON monitoring.events (correlation_id, id) WHERE correlation_id IS NOT NULL;
CREATE INDEX events_position ON monitoring.events (position_id, id) WHERE position_id IS NOT NULL;
CREATE INDEX events_created_at ON monitoring.events (created_at);

-- The notifier's outbox.
CREATE TABLE monitoring.alerts (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    alert_id        text NOT NULL UNIQUE,
    severity        text NOT NULL,
    type            text NOT NULL,
    text            text NOT NULL,
    correlation_id  text,
    position_id     bigint,
    symbol          text,
    attempts        integer NOT NULL DEFAULT 0,
    error           text,
    raised_at       timestamptz NOT NULL,
    sent_at         timestamptz,
    acknowledged_at timestamptz,
    acknowledged_by text,
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX alerts_outbox ON monitoring.alerts (id) WHERE sent_at IS NULL;
CREATE INDEX alerts_open ON monitoring.alerts (severity, id) WHERE acknowledged_at IS NULL;
CREATE INDEX alerts_symbol ON monitoring.alerts (symbol, id) WHERE symbol IS NOT NULL;
CREATE TRIGGER touch BEFORE UPDATE ON monitoring.alerts FOR EACH ROW EXECUTE FUNCTION monitoring.touch();

CREATE TABLE monitoring.risk_events (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    position_id bigint REFERENCES monitoring.positions ON DELETE RESTRICT,
    account     text NOT NULL,
    symbol      text,
    risk_type   text NOT NULL,
    risk_level  text NOT NULL,
    score       numeric,
    action      text,
    details     jsonb NOT NULL DEFAULT '{}',
    created_at  timestamptz NOT NULL
);
CREATE INDEX risk_events_position ON monitoring.risk_events (position_id, id) WHERE position_id IS NOT NULL;
CREATE INDEX risk_events_level ON monitoring.risk_events (risk_level, created_at);

CREATE TABLE monitoring.performance (
    id                bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account           text NOT NULL,
    taken_at          timestamptz NOT NULL,
    balance           numeric NOT NULL,
    equity            numeric NOT NULL,
    exposure          numeric NOT NULL,
    open_positions    integer NOT NULL,
    realized_pnl      numeric NOT NULL,
    unrealized_pnl    numeric NOT NULL,
    fees              numeric NOT NULL,
    drawdown_percent  numeric NOT NULL,
    UNIQUE (account, taken_at)
);

CREATE TABLE monitoring.performance_metrics (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account    text NOT NULL,
    day        date NOT NULL,
    metric     text NOT NULL,
    value      numeric NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (account, day, metric)
);
CREATE TRIGGER touch BEFORE UPDATE ON monitoring.performance_metrics
    FOR EACH ROW EXECUTE FUNCTION monitoring.touch();

-- NULL means: not set here, the settings decide.
CREATE TABLE monitoring.symbol_settings (
    symbol             text PRIMARY KEY,
    alert_enabled      boolean,
    buy_alert_enabled  boolean,
    sell_alert_enabled boolean,
    trade_enabled      boolean,
    min_trade_usd      numeric,
    cooldown_seconds   numeric,
    leverage           integer,
    protection_overrides jsonb,
    trailing_overrides jsonb,
    created_at         timestamptz NOT NULL DEFAULT now(),
    updated_at         timestamptz NOT NULL DEFAULT now()
);
CREATE TRIGGER touch BEFORE UPDATE ON monitoring.symbol_settings FOR EACH ROW EXECUTE FUNCTION monitoring.touch();
