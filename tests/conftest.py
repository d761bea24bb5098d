"""What a test inherits is the same wherever the suite is started: in a terminal, a shell's background, under nohup, in CI.

Networks compute on the CPU but where a test says otherwise: also on a machine with a GPU. No test depends on how fast the machine is.
"""

from __future__ import annotations

import os
import threading

from hypothesis import settings

from afuic.deploy.kernel import as_new

os.environ["AFUIC_DEVICE"] = "cpu"
os.environ["TZ"] = "UTC"
for name in ("AFUIC_DEBUG", "COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "SOURCE_DATE_EPOCH"):
    os.environ.pop(name, None)
os.umask(0o022)
if threading.current_thread() is threading.main_thread():
    as_new()
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")
