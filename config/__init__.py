"""Settings: what they are (settings), where they come from (sources), how they are read and judged (load)."""
