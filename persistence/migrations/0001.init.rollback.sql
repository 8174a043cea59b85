-- Takes everything away that 0001.init.sql made; the list of migrations itself stays.

DROP TABLE monitoring.symbol_settings;
DROP TABLE monitoring.performance_metrics;
DROP TABLE monitoring.performance;
DROP TABLE monitoring.risk_events;
DROP TABLE monitoring.alerts;
DROP TABLE monitoring.events;
DROP TABLE monitoring.trades;
DROP TABLE monitoring.orders;
DROP TABLE monitoring.trailing_stop_state;
DROP TABLE monitoring.positions;
DROP TABLE fas.signals;
DROP TABLE monitoring.transaction_log;
DROP TABLE monitoring.service_facts;
DROP TABLE monitoring.account_terms;
DROP TABLE monitoring.instance;
DROP FUNCTION monitoring.touch();
DROP SCHEMA fas;
