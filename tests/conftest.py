"""What all tests have: how examples are drawn for properties."""

from hypothesis import HealthCheck, settings

#: No property is about time, the machine may be slow, and a fixture that serves several examples is meant to.
_ALWAYS = settings(
    deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture], print_blob=True
)

#: The same examples in each run: one that passed passes again.
settings.register_profile("ringvault", _ALWAYS, derandomize=True)
#: New ones each time, and more of them where a test does not say how many: `make properties`.
settings.register_profile("exploring", _ALWAYS, derandomize=False, max_examples=500)
settings.load_profile("ringvault")
