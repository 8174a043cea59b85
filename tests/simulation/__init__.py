"""Deterministic simulation: the real domain and the real actors, one thread, one seed, virtual time.

    python -m tests.simulation --seed 17 -v        one schedule, told step by step
    python -m tests.simulation --minutes 1         as many schedules as fit, then a report

Rules of this package:
- Not a line of `domain/` or `actors/` differs from what runs in production. What they are built upon is replaced where
  they look it up: threads, queues, event loops, clock, database, disk, network, exchange (`stage`).
- Everything that may come in another order, late, twice or not at all is drawn from the seed. The same seed gives the
  same history, whatever the machine does meanwhile.
- Nothing here judges: the oracle reads the exchange's timeline, and `liveness` and `durability` ask the exchange and
  the durable store. What Holdfast believes is asked only to compare it with these.
"""
