"""The one file that knows Flower (``flwr``, 1.41 and 1.42): its Grid as a transport, the ServerApp, the ClientApp, what starts them.

``python -m afuic.engines.flower superexec`` takes the place of ``flower-superexec``. It starts the apps of the afuic that is installed
on this machine, whatever app came with a run: an app is code, and a hospital does not run code that its server sends. It forks them from
a process that has imported everything, since importing costs more than a small task does. ``ps`` does not show their tokens.

``… supernode`` takes the place of ``flower-supernode``, which gives its work up for good, but lives on, when one TLS handshake fails.
Each program marks what it has done (``flower_commands.MARKS``), so that whoever supervises it sees more than that it runs.
"""

from __future__ import annotations

import itertools
import logging
import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

import httpx
from flwr.app import ConfigRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.common.constant import ErrorCode
from flwr.server.run_serverapp import run as run_server_app
from flwr.serverapp import Grid, ServerApp
from flwr.supercore.cli import flower_superexec
from flwr.supercore.constant import TaskType
from flwr.supercore.protobuf.client import ProtobufClient
from flwr.supercore.retry import RetryInvoker, exponential, make_simple_http_retry_invoker
from flwr.supercore.superexec.executor.subprocess_executor import SubprocessExecutor
from flwr.supercore.superexec.executor.types import ExecutionSpec, LaunchResult
from flwr.superlink.cli import flwr_serverapp
from flwr.superlink.grid import HttpGrid
from flwr.supernode.cli import flower_supernode, flwr_clientapp
from flwr.supernode.fleet_http_client import FleetHttpClient

from afuic.engines import flower_commands as commands
from afuic.engines import flower_post as post
from afuic.engines.flower_commands import SERVER_SETTINGS, SERVING, SITE_SETTINGS, database
from afuic.engines.flower_post import Content, Parcel, Post
from afuic.engines.flower_traces import Housekeeping
from afuic.engines.live.transport import Reply
from afuic.errors import ConfigError, EngineError
from afuic.settings import Server, Site, load
from afuic.store.files import holding
from afuic.text import log_to

PAUSE_S, SILENCE_S, CLOSING_S = 0.5, 30.0, 5.0
REFUSED_S, AGAIN_S, WORKING_S = 80.0, 5, 5.0
"""How long a SuperNode that is refused asks again: longer than the minute for which the SuperLink counts a dead one as connected; the
longest pause between two tries; how often a ClientApp marks that it works."""
RECORD, KIND = "afuic", "train"
APPS = {TaskType.SERVER_APP: "serverapp", TaskType.CLIENT_APP: "clientapp"}
IMPORTED = {SITE_SETTINGS: "afuic.engines.hospital.desk", SERVER_SETTINGS: "afuic.engines.live.starting"}
"""What an app will need, by the variable that says whose app it is."""
REASONS = {
    ErrorCode.NODE_UNAVAILABLE: post.UNAVAILABLE,
    ErrorCode.MESSAGE_UNAVAILABLE: "its message expired or was lost on the way",
    ErrorCode.REPLY_MESSAGE_UNAVAILABLE: "its reply expired or was lost on the way",
    ErrorCode.CLIENT_APP_CRASHED: "its process died",
}

DONE = {"/v1/fleet/send-node-heartbeat": commands.BEATEN, "/v1/runtime/acquire-task": commands.POLLED}
"""The mark of each call that has been answered; every other one to the fleet's endpoint is ``PULLED``."""
NOT_IN = (
    "the server does not let this hospital in: either its node key is not registered there, or the server still counts an earlier "
    "connection of it as open, for up to a minute"
)

log = logging.getLogger("afuic.flower")
forks = multiprocessing.get_context("forkserver")

server_app, client_app = ServerApp(), ClientApp()


class FlowerTransport:
    """Hospitals reached over a Grid, each known by its node's public key (``keys``: one OpenSSH line each).

    ``ttl_s``: a message lives so long; ``house`` keeps the SuperLink's files clean.

    A thread of its own speaks with the SuperLink, so that nobody waits for the network; what stops it for good is raised to the caller.
    """

    def __init__(self, grid: Grid, keys: Mapping[str, str], ttl_s: float, house: Housekeeping | None = None) -> None:
        if not isinstance(grid, HttpGrid):
            raise EngineError(
                f"a {type(grid).__name__} does not tell its nodes' keys; run the federation with SuperLink and SuperNodes"
            )
        self._grid, self._ttl_s, self._house = grid, ttl_s, house
        self._post, self._replies = Post(post.public_keys(keys)), list[Reply]()
        self._lock, self._stopped = threading.Lock(), threading.Event()
        self._heard, self._failure = float("-inf"), ""
        self._thread = threading.Thread(target=self._run, name="flower", daemon=True)
        self._thread.start()

    def present(self) -> frozenset[str]:
        """Hospitals whose nodes are connected; nobody while the SuperLink is silent."""
        if self._failure or not self._thread.is_alive():
            raise EngineError(self._failure or "the thread that speaks with the SuperLink has ended; start the server again")
        now = time.monotonic()
        with self._lock:
            return self._post.present(now) if now - self._heard < SILENCE_S else frozenset()

    def send(self, client: str, task: str, document: bytes, tensors: bytes) -> None:
        """Take a task to be sent when the hospital's node is free."""
        with self._lock:
            self._post.post(client, task, document, tensors)

    def receive(self) -> list[Reply]:
        """What has come since the last call."""
        with self._lock:
            replies, self._replies = self._replies, []
        return replies

    def forget(self, client: str, task: str) -> None:
        """Nobody waits for this task any more."""
        with self._lock:
            self._post.forget(client, task)

    def traces(self, pieces: Sequence[bytes]) -> tuple[str, ...]:
        """What is left in the SuperLink's files of messages that it deleted, after they have been overwritten."""
        return () if self._house is None else self._house.left(pieces)

    def close(self) -> None:
        """Stop speaking with the SuperLink."""
        self._stopped.set()
        self._thread.join(CLOSING_S)

    def _run(self) -> None:
        try:
            while not self._stopped.is_set():
                self._turn()
                if self._house is not None:
                    self._house.turn()
                self._stopped.wait(PAUSE_S)
        except BaseException as error:  # the SuperLink has given the run up, or answers what nobody foresaw
            log.exception("the SuperLink cannot be spoken with")
            self._failure = (
                f"the SuperLink refuses this run ({type(error).__name__}); its own log says more; submit the run again"
            )

    def _turn(self) -> None:
        nodes = [(node.node_id, node.public_key) for node in self._grid.get_nodes()]
        now = time.monotonic()
        mark(commands.HEARD)
        with self._lock:
            self._heard = now
            self._post.online(nodes)
            parcels = self._post.outgoing(now)
        for parcel in parcels:
            self._push(parcel)
        with self._lock:
            under_way = self._post.under_way()
        for message in self._pulled(under_way):
            self._pull(message)

    def _pulled(self, under_way: list[str]) -> Iterable[Message]:
        """What has come. Where one of the replies cannot even be unpacked, each is asked for alone, and the others come all the same."""
        try:
            return self._grid.pull_messages(under_way) if under_way else ()
        except httpx.HTTPError:
            raise
        except Exception as error:
            log.warning("a reply cannot be unpacked (%s); each is now asked for alone", type(error).__name__)
            return [message for asked in under_way for message in self._pulled_alone(asked)]

    def _pulled_alone(self, asked: str) -> Iterable[Message]:
        try:
            return self._grid.pull_messages([asked])
        except httpx.HTTPError:
            raise
        except Exception as error:
            self._give_up(asked, f"its reply cannot be unpacked ({type(error).__name__})")
            return ()

    def _give_up(self, asked: str, reason: str, *, rest: bool = False) -> None:
        with self._lock:
            self._keep(self._post.failed(asked, reason, time.monotonic(), rest=rest))

    def _push(self, parcel: Parcel) -> None:
        message = Message(RecordDict({RECORD: _record(parcel)}), parcel.node, KIND, ttl=self._ttl_s)
        taken = next(iter(self._grid.push_messages([message])), None)
        mark(commands.HEARD)
        with self._lock:
            if taken:
                self._post.sent(parcel, taken)
            else:
                self._keep(self._post.refused(parcel, "the SuperLink did not take its message", time.monotonic()))

    def _pull(self, message: Message) -> None:
        asked = message.metadata.reply_to_message_id
        if message.has_error():
            code = message.error.code
            reason = REASONS.get(code, f"Flower's error {code} at its node")
            self._give_up(asked, reason, rest=code == ErrorCode.NODE_UNAVAILABLE)
            return
        try:
            with self._lock:
                self._keep(self._post.replied(asked, _content(message)))
        except Exception as error:  # whatever a node has put into its reply
            log.warning("a reply cannot be read", exc_info=True)
            self._give_up(asked, f"its reply cannot be read ({type(error).__name__})")

    def _keep(self, reply: Reply | None) -> None:
        if reply is not None:
            self._replies.append(reply)


def _record(parcel: Parcel) -> ConfigRecord:
    return ConfigRecord(
        {"task": parcel.task, "document": parcel.document, "tensors": parcel.tensors, "challenge": parcel.challenge}
    )


def _content(message: Message) -> Content | None:
    """What a node replied, where it has the right form; its content comes from outside."""
    record: Any = message.content.config_records.get(RECORD, {})
    task, parts = record.get("task"), [record.get(name) for name in ("document", "tensors", "signature")]
    return Content(task, *parts) if isinstance(task, str) and all(isinstance(part, bytes) for part in parts) else None


def answered(message: Message, key: Path, perform: Callable[[bytes, bytes], tuple[bytes, bytes]]) -> Message:
    """A hospital's signed reply to a message."""
    asked: Any = message.content.config_records[RECORD]
    document, tensors = perform(asked["document"], asked["tensors"])
    signature = post.prove(post.private_key(key), asked["challenge"], asked["task"], document, tensors)
    record = ConfigRecord({"task": asked["task"], "document": document, "tensors": tensors, "signature": signature})
    return Message(RecordDict({RECORD: record}), reply_to=message)


def place(variable: str) -> Path:
    """The settings' file that the environment names."""
    if not os.environ.get(variable):
        raise ConfigError(f"{variable} is not set; it names the TOML file with this machine's settings")
    return Path(os.environ[variable])


@server_app.main()
def serve(grid: Grid, context: Context) -> None:
    """The federation's server, from its store on, until the run is stopped. A second one waits until the first has ended."""
    from afuic.engines.live import starting  # noqa: PLC0415 - a hospital has no use for it, and no database

    own = place(SERVER_SETTINGS)
    settings, house = load(own, Server), Housekeeping(database(own.parent))
    with holding(settings.store.parent / SERVING, wait=True):
        keys = {hospital.name: hospital.node_key for hospital in settings.hospitals}
        transport = FlowerTransport(grid, keys, settings.engine.task_deadline_s, house)
        mark(commands.TURNED)
        try:
            starting.serve(settings, transport, lambda: mark(commands.TURNED))
        finally:
            transport.close()


@client_app.train()
def work(message: Message, context: Context) -> Message:
    """A hospital's answer to one task."""
    from afuic.engines.hospital.desk import Desk  # noqa: PLC0415 - the server has no use for it

    site = load(place(SITE_SETTINGS), Site)
    return answered(message, site.node_private_key, Desk(site).perform)


def mark(name: str) -> bool:
    """Touch a mark, where the environment names a folder for them; always False."""
    if os.environ.get(commands.MARKS):
        with suppress(OSError):
            (Path(os.environ[commands.MARKS]) / name).touch()
    return False


def say(sentence: str) -> None:
    """What a person should know of this program: into its log, and where the supervisor looks."""
    log.warning("%s", sentence)
    if os.environ.get(commands.MARKS):
        with suppress(OSError):
            (Path(os.environ[commands.MARKS]) / commands.WHY).write_text(sentence, encoding="utf-8")


def marked(call: Callable[..., Any]) -> Callable[..., Any]:
    """A client's call that leaves its mark once it has been answered."""

    def calling(self: ProtobufClient, *, path: str, **rest: Any) -> Any:
        answer = call(self, path=path, **rest)
        if path in DONE or path.startswith("/v1/fleet/"):
            mark(DONE.get(path, commands.PULLED))
        return answer

    return calling


def persistent() -> RetryInvoker:
    """Flower's way of asking again, but for what ends it: a handshake that fails is a failure of the network like any other.

    A server that the hospital's authority does not vouch for is not asked again: the program ends.
    """
    invoker, wait = make_simple_http_retry_invoker(), exponential
    flowers = invoker.should_giveup

    def give_up(error: Exception) -> bool:
        if isinstance(error, httpx.HTTPStatusError):
            if error.response.status_code == httpx.codes.UNAUTHORIZED:
                say("the server does not take this hospital's signature: compare its clock and its node key with the server's")
            return flowers is None or flowers(error)
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            refused(f"the server's certificate does not come from the authority in the hospital's ca.pem ({error})")
        return False

    invoker.should_giveup, invoker.wait_gen_factory = give_up, lambda: wait(max_delay=AGAIN_S)
    return invoker


def activated(call: Callable[..., Any], patience_s: float = REFUSED_S) -> Callable[..., Any]:
    """The call that lets a SuperNode in, made again for a while where it is refused; then the program ends."""

    def activating(self: FleetHttpClient, request: Any) -> Any:
        until = time.monotonic() + patience_s
        for tries in itertools.count():
            try:
                answer = call(self, request)
            except httpx.HTTPStatusError as error:
                if error.response.status_code != httpx.codes.PRECONDITION_FAILED:
                    raise
                if time.monotonic() > until:
                    refused(f"{NOT_IN.partition(':')[0]}: its node key is not registered there; ask the server's operator")
                if not tries:
                    say(f"{NOT_IN}; asking again for {patience_s:.0f} s")
                time.sleep(AGAIN_S)
            else:
                say("the server has let this hospital in")
                return answer

    return activating


def refused(sentence: str) -> NoReturn:
    """End this program, whatever its threads do."""
    say(sentence)
    logging.shutdown()
    os._exit(commands.REFUSED)


def supernode() -> None:
    """Flower's SuperNode, which ends when it does no more work."""
    vars(import_module("flwr.supernode.fleet_http_connection"))["make_simple_http_retry_invoker"] = persistent
    FleetHttpClient.ActivateNode = activated(FleetHttpClient.ActivateNode)  # type: ignore[method-assign]
    flower_supernode()
    say("the connection to the server has ended; the log says why")
    logging.shutdown()
    os._exit(1)


def launch(self: SubprocessExecutor, spec: ExecutionSpec) -> LaunchResult:
    """Start one of our own apps for a task, in a process of its own; any other kind of task is refused."""
    if spec.task_type not in APPS:
        return LaunchResult.failed(f"{spec.task_type} is no task of a federation of afuic")
    tls = ["--insecure"] if spec.insecure else ["--root-certificates", str(spec.root_certificates_path)]
    parent = [] if spec.parent_pid is None else ["--parent-pid", str(spec.parent_pid)]
    options = ["--runtime-api-address", spec.runtime_api_address, *tls, *parent, "--token", spec.token]
    multiprocessing.active_children()  # asks after those that have ended
    forks.Process(target=main, args=([APPS[spec.task_type], *options],), daemon=True).start()
    return LaunchResult.accepted()


def superexec() -> None:
    """Flower's SuperExec, but for what it starts."""
    SubprocessExecutor.launch = launch  # type: ignore[method-assign]
    forks.set_forkserver_preload([__spec__.name, *(name for variable, name in IMPORTED.items() if variable in os.environ)])
    flower_superexec()


def serverapp() -> None:
    """Flower's process for a ServerApp, with ours in place of the one that came with the run."""

    def run(grid: Grid, context: Context, **_: object) -> Context:
        return run_server_app(grid, context, "", loaded_server_app=server_app)

    vars(import_module("flwr.superlink.runtime.run_serverapp"))["run_"] = run
    flwr_serverapp()


def clientapp() -> None:
    """Flower's process for a ClientApp, with ours in place of the one that came with the run."""
    threading.Thread(target=_work_on, name="afuic-mark", daemon=True).start()
    vars(import_module("flwr.supernode.runtime.run_clientapp"))["get_load_client_app_fn"] = lambda **_: lambda *_: client_app
    flwr_clientapp()


def _work_on() -> None:
    while not mark(commands.WORKING):
        time.sleep(WORKING_S)


def main(arguments: list[str]) -> None:
    """One of the four programs, called so by the kernel too; the two apps are forked."""
    program, *_ = sys.argv = arguments
    _log_afuic()
    if os.environ.get(commands.MARKS):
        Path(os.environ[commands.MARKS]).mkdir(mode=0o700, parents=True, exist_ok=True)
    ProtobufClient._unary_unary = marked(ProtobufClient._unary_unary)  # type: ignore[method-assign]
    with suppress(OSError):  # as where there is no /proc
        Path("/proc/self/comm").write_text(program)
    {"superexec": superexec, "supernode": supernode, "serverapp": serverapp, "clientapp": clientapp}[program]()


def _log_afuic() -> None:
    """To this machine's standard error, which Flower would copy to the SuperLink if it came through ``sys.stderr``."""
    log_to(sys.__stderr__, "afuic")


if __name__ == "__main__":
    main(sys.argv[1:])
