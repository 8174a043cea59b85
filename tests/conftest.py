"""How property tests judge, wherever they run: by facts, not by how busy the machine is.

Without this Hypothesis fails an example that took more than 200 ms, and a test whose examples came slowly.
"""

from hypothesis import HealthCheck, settings

settings.register_profile("holdfast", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.load_profile("holdfast")
