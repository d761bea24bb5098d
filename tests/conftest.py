"""Networks compute on the CPU in tests, which compare bytes, but where a test says otherwise: also on a machine with a GPU."""

from __future__ import annotations

import os

os.environ["AFUIC_DEVICE"] = "cpu"
