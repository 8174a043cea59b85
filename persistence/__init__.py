"""The memory: PostgreSQL (embedded or given), the spool beside it, and what is written to and read from them."""
