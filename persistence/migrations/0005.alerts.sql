-- An alert is taken by each channel for itself, and a standing one stands until it is over.

ALTER TABLE monitoring.alerts
    ADD COLUMN account    text,
    ADD COLUMN order_id   text,
    ADD COLUMN condition  text,
    ADD COLUMN cleared_at timestamptz;
CREATE INDEX alerts_standing ON monitoring.alerts (id) WHERE condition IS NOT NULL AND cleared_at IS NULL;

-- No foreign key: what a channel did must find a place whatever became of the alert's own row.
CREATE TABLE monitoring.alert_deliveries (
    alert_id   text NOT NULL,
    channel    text NOT NULL,
    attempts   integer NOT NULL DEFAULT 0,
    error      text,
    sent_at    timestamptz,
    refused_at timestamptz,
    tried_at   timestamptz NOT NULL,
    PRIMARY KEY (alert_id, channel)
);
