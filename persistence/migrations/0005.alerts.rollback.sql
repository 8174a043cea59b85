DROP TABLE monitoring.alert_deliveries;
DROP INDEX monitoring.alerts_standing;
ALTER TABLE monitoring.alerts
    DROP COLUMN account,
    DROP COLUMN order_id,
    DROP COLUMN condition,
    DROP COLUMN cleared_at;
