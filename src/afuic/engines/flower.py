"""The one file that knows Flower (``flwr``, 1.41 and 1.42): messages over its Grid, the ServerApp, the ClientApp, and the program that starts them.

``python -m afuic.engines.flower superexec`` takes the place of ``flower-superexec``. It starts the apps of the afuic that is installed on this
machine, whatever app came with a run: an app is code, and a hospital does not run code that its server sends. It also hands a
task's token over where ``ps`` does not show it.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from flwr.app import ConfigRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.common.constant import ErrorCode
from flwr.serverapp import Grid, ServerApp
from flwr.supercore.cli import flower_superexec
from flwr.supercore.constant import TaskType
from flwr.supercore.superexec.executor.subprocess_executor import SubprocessExecutor
from flwr.supercore.superexec.executor.types import ExecutionSpec, LaunchResult
from flwr.superlink.cli.flwr_serverapp import flwr_serverapp
from flwr.superlink.runtime import run_serverapp as server_runtime
from flwr.supernode.cli.flwr_clientapp import flwr_clientapp
from flwr.supernode.runtime import run_clientapp as client_runtime

from afuic.engines import flower_post
from afuic.engines.flower_post import Content, Parcel, Post
from afuic.engines.live.transport import Reply
from afuic.errors import EngineError

PAUSE_S, TTL_S, SILENCE_S = 0.5, 86400.0, 30.0
RECORD, KIND = "afuic", "train"

log = logging.getLogger("afuic.flower")
