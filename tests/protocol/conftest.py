"""One Hypothesis profile, the same examples on every machine; ``HYPOTHESIS_PROFILE=explore`` looks for new ones."""

from __future__ import annotations

import os

import torch
from hypothesis import HealthCheck, settings

torch.set_num_threads(1)
SLOW = [HealthCheck.too_slow, HealthCheck.filter_too_much]
settings.register_profile("ci", derandomize=True, deadline=None, max_examples=6, stateful_step_count=40, suppress_health_check=SLOW, report_multiple_bugs=False)
settings.register_profile("explore", deadline=None, max_examples=80, stateful_step_count=80, suppress_health_check=SLOW, report_multiple_bugs=False)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))
