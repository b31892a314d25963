"""The daemon put together: rooms are opened in order, run until somebody says stop, and closed in reverse."""

from __future__ import annotations

import logging
import os
import shlex
import signal
import socket
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import gevent
import zmq.green
from gevent.event import AsyncResult, Event
from gevent.lock import BoundedSemaphore

from circusd.config.ini import load
from circusd.config.launch import base_folder
from circusd.config.model import plugin_watcher
from circusd.config.records import Configuration, WatcherConfig
from circusd.core import ending, words
from circusd.kernel import files, limits, pidfd, proc, signals
from circusd.kernel.notify import Notify
from circusd.schema.errors import BadRequest, CircusError, ConfigError, Conflict
from circusd.schema.options import CIRCUS
from circusd.schema.secrets import masked
from circusd.schema.wire import encode
from circusd.version import __version__

from . import clock, snapshot
from .arbiter import Arbiter, Services
from .audit import Audit
from .console import Console, file_sockets
from .controller import Controller
from .doors import Doors, Refusal
from .endpoints import CHANNELS, Endpoints, look_up_access
from .follow import Follows
from .handlers import Handlers
from .history import History
from .hooks import Hooks
from .journal import Journal
from .loadhistory import LoadHistory
from .looks import Looks
from .looplag import LoopLag
from .notifications import Notifications
from .orders import Orders
from .outputchannel import OutputChannel
from .pace import Pace
from .probes import Probes
from .publisher import Publisher
from .reaper import Reaper
from .requests import Context, as_int
from .scope import ALL, Scope
from .servicemanager import ServiceManager
from .sockets import Sockets
from .stats import Stats
from .streams import Output, OutputServices
from .waits import Waits
from .watcher import Credentials, Watcher

if TYPE_CHECKING:
    from .accounts import Accounts
    from .bounds import Bounded
    from .crashes import Crashes
    from .failures import Failure
    from .metrics import Metrics
    from .schedules import Schedules
    from .searches import Searches
    from .statefile import StateFolder

log = logging.getLogger("circusd.daemon")

SIGNALS = (*signals.STOP, *signals.HARMLESS, signal.SIGWINCH)
OOM_SCORE_ROOT = -900
HOOKS_PATIENCE = 2.0
"""Seconds that the processes of hooks have to end at the end of the daemon."""
REPLIES_PATIENCE = 1.0
"""Seconds in which clients can take the last replies."""


class TrustedSocket(zmq.green.Socket):  # type: ignore[type-arg]
    """Looks for itself once a minute whether a wake-up was lost, and not each twelve seconds: an idle daemon sleeps."""

    _gevent_bug_timeout = 60.0


class TrustedContext(zmq.green.Context):  # type: ignore[type-arg]
    """Its sockets are such."""

    _socket_class = TrustedSocket


@dataclass(slots=True)
class Settings:
    """What the command line decides."""

    path: str
    name: str = "circus"
    pidfile: str | None = None
    notify: Notify = field(default_factory=Notify)
    handed: Mapping[str, socket.socket] = field(default_factory=dict)
    """Sockets that the service manager has opened."""
    runs: Callable[[], None] = lambda: None
    """Called once everything is open and the daemon answers."""
    reopen_log: Callable[[], None] = lambda: None
    init: bool = False
    """End when nothing is left to do; see `circusd.core.ending`."""


class Interrupted(Exception):
    """A signal says stop while the daemon is still being opened: there is nothing to stop yet."""


class Daemon:
    """One circusd."""

    def __init__(self, configuration: Configuration, settings: Settings) -> None:
        self.configuration = configuration
        self.settings = settings
        self.pid = os.getpid()
        self.epoch = clock.wall()
        self.started = clock.now()
        self._stop = Event()
        self._quit: AsyncResult[Any] | None = None
        self._reloading = BoundedSemaphore(1)
        self.saved: tuple[Configuration, Configuration] | None = None
        """After a save, the configuration that is in force and what the files say."""
        self.unsaved: (
            tuple[Configuration, Configuration, tuple[Configuration, Configuration] | None] | None
        ) = None
        """After a save, the configuration since, the one before, and what `saved` was then."""
        self._is_starting = True
        self._exit_code = 0
        self._machine = snapshot.machine()
        self._accounts: Accounts | None = None
        self._crashes: Crashes | None = None
        self._is_without_crashes = False
        """They could not be begun, and that is told."""
        self._searches: Searches | None = None
        self._state_folder: StateFolder | None = None

    # -- life ----------------------------------------------------------------------------------------------------

    def run(self) -> int:
        """Runs until it is told to stop; the exit code. Raises CircusError, with nothing left, if it can't be opened."""
        try:
            with ExitStack() as stack:
                _tell_by_the_log()
                self._open(stack)
                self.arbiter.post(None, self._begin)
                self._stop.wait()
                if self._left_behind():
                    self._exit_code = self._exit_code or 1
                log.info("circusd ends name=%s", self.settings.name)
        except Interrupted:
            log.info("circusd ends before it ran name=%s", self.settings.name)
        return self._exit_code

    def _left_behind(self) -> bool:
        """Whether processes that nothing ends outlive circusd; they are named in the log."""
        left = [one for one in self.arbiter.abandoned if proc.start_time(one.pid) == one.start]
        for one in left:
            log.warning("circusd ends, and process %d does not, of %s", one.pid, self.arbiter.abandoned[one])
        return bool(left)

    def _open(self, stack: ExitStack) -> None:
        circus = self.configuration.circus
        access = look_up_access(self.configuration)
        signals.reset_dispositions()
        # From here on there is something to clean up, so that no signal may end circusd by itself; nor at the very end.
        pipe = signals.SignalPipe((signal.SIGCHLD, *SIGNALS))
        stack.callback(pipe.close, deaf=(*signals.STOP, *signals.HARMLESS))
        self.reaper = Reaper()
        stack.callback(self.reaper.close)
        for signum in signals.STOP:
            self.reaper.handlers[signum] = partial(self._told_to_give_up, gevent.getcurrent())
        self.reaper.listen(pipe)
        self.manager = ServiceManager(self.settings.notify, self._status)
        stack.callback(self.manager.close)
        self._own_umask = os.umask(0o077)
        self._set_umask()
        self.folder = files.runtime_folder(self.settings.name)
        lock = files.Lock.acquire(self.folder)
        stack.callback(lock.release)
        if self.settings.pidfile:
            files.write_pidfile(self.settings.pidfile)
            stack.callback(files.remove_pidfile, self.settings.pidfile)
        nofile = limits.raise_nofile()
        oom = limits.oom_score_adj()
        protected = os.geteuid() == 0 and limits.set_oom_score_adj(OOM_SCORE_ROOT)
        if not pidfd.become_subreaper():
            log.warning("orphans of the processes can't be adopted: the system refuses")
        for folder in reversed(self.configuration.python_path):
            sys.path.insert(0, folder)

        context = TrustedContext()
        stack.callback(context.destroy, 0)
        inner = files.inner_folder(self.folder)
        self.publisher = Publisher(context, inner)
        stack.callback(self.publisher.close)
        self.journal = Journal(self.publisher)
        self.history = History(limit_bytes=circus.history_limit, stream_bytes=circus.history_bytes)
        stack.callback(self.history.close)
        self.sockets = Sockets(self.journal, self.settings.handed)
        stack.callback(self.sockets.close_all)
        self.output_services = OutputServices.make(
            self.history,
            self._output_event,
            epoch=self.life,
            state_folder=partial(files.state_folder, self.settings.name),
        )
        stack.callback(self.output_services.close)
        base_env = dict(os.environ)
        self.hooks = Hooks(
            self.reaper,
            base_env,
            self.configuration.python_path,
            lambda: "ipc://" + os.path.join(self.folder, "commands.sock"),
            nofile=nofile,
            oom_score_adj=oom if protected else None,
        )
        stack.callback(self.hooks.close_all, HOOKS_PATIENCE)
        notifications = Notifications(self._watchers)
        stack.callback(notifications.close)
        probes = Probes(self.reaper, nofile, oom if protected else None)
        stack.callback(probes.close)
        services = Services(
            output=lambda config: Output(config, self.output_services),
            hooks=self.hooks,
            probes=probes,
            notify_address=notifications.address,
            base_env=base_env,
            base_dir=base_folder(os.environ),
            sys_path=tuple(sys.path),
            nofile=nofile,
            oom_score_adj=oom if protected else None,
            schedules=self._new_schedules,
            config_folder=os.path.dirname(os.path.abspath(self.settings.path)),
            forgotten=self._forget,
            look_at=self._look_at,
        )
        self.arbiter = Arbiter(services, self.journal, self.reaper, self.sockets)
        self.arbiter.warmup_delay = circus.warmup_delay
        stack.callback(self.arbiter.close)
        stack.callback(self._close_accounts)
        self.loop_lag = LoopLag()
        stack.callback(self.loop_lag.close)
        self.load_history = LoadHistory(self.arbiter, circus.stats_history)
        stack.callback(self.load_history.close)
        self.stats = Stats(
            self.publisher, self.arbiter, self.history, self.load_history.look, self.loop_lag.view
        )
        stack.callback(self.stats.close)
        self.looks = Looks()
        stack.callback(self.looks.close)
        self._metrics: Metrics | None = None
        stack.callback(self._close_metrics)
        self.follows = Follows(self.publisher, self.history, self)
        stack.callback(self.follows.close)
        self.live_output = OutputChannel(self.publisher, self.history)
        stack.callback(self.live_output.close)
        self.waits = Waits(self.arbiter)
        self._make_searches = partial(self._new_searches, base_env, nofile, oom if protected else None)
        stack.callback(self._close_searches)
        self.orders = Orders(self.arbiter)
        self.arbiter.on_change = self._changed
        self.arbiter.on_failure = self._failed
        stack.callback(self._close_crashes)
        self.audit = Audit(self.settings.name, circus.audit, self._audit_told, self._denied)
        stack.callback(self.audit.close)
        self.handlers = Handlers(self.arbiter, self)
        self.controller = Controller(context, inner, self.handlers.dispatch, self._left)
        stack.callback(self.controller.close)
        self.doors = Doors(
            {
                "commands": self.controller,
                **{channel: self.publisher.entrance(channel) for channel in CHANNELS[1:]},
            },
            access,
            refused=self._refused,
        )
        self.endpoints = Endpoints(self.settings.name, self.folder, self.doors, context, access)
        stack.callback(self.endpoints.close)
        stack.callback(self.doors.close)
        self._answer_discovery(stack)
        self.console = Console(
            self.settings.name,
            lambda: self.configuration.circus,
            self.arbiter,
            self.sockets,
            self.doors,
            lambda: self.accounts,
        )
        self.configuration, self.console.refusal = self.console.allow(self.configuration)
        if self.console.refusal:
            log.error("%s", self.console.refusal)
        self._open_everything()
        handlers = self.reaper.handlers
        handlers |= dict.fromkeys(signals.STOP, self._told_to_stop)
        handlers[signal.SIGHUP] = self._told_to_reload
        handlers[signal.SIGUSR1] = self._told_to_reopen
        handlers |= dict.fromkeys((signal.SIGWINCH, signal.SIGUSR2), self._told_nothing)

    def _open_everything(self) -> None:
        """All doors and sockets are open, or one error names every problem."""
        problems = self.endpoints.open(self.configuration.circus)
        try:
            self.sockets.open_all(file_sockets(self.configuration))
        except ConfigError as error:
            problems += error.problems
        if problems:
            raise ConfigError(problems)
        self.endpoints.look_abroad()

    def _answer_discovery(self, stack: ExitStack) -> None:
        """Who looks for a daemon is answered, where the file has something to tell him."""
        circus = self.configuration.circus
        if not circus.multicast_endpoint or not circus.endpoint:
            return
        from .discovery import Discovery

        try:
            discovery = Discovery(circus.multicast_endpoint, circus.endpoint)
        except OSError as error:
            # Files of the original have it where no network is.
            why = error.strerror or str(error)
            log.warning("multicast_endpoint: nobody is answered at %s: %s", circus.multicast_endpoint, why)
            return
        stack.callback(discovery.close)
        log.info("answers who looks for a daemon at %s", circus.multicast_endpoint)

    # -- starting ------------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        # The loop goes round, so clients are answered; what is to be started may take long, and fail in part.
        self.settings.runs()
        self.manager.ready()
        gevent.spawn(self._start_everything)

    def _start_everything(self) -> None:
        pace = Pace()
        for config, kind in self.file_watchers(self.configuration):
            try:
                self.add(config, kind)
            except CircusError:
                log.exception("a watcher could not be added watcher=%r", config.name)
            pace.rest()
        self.arbiter.start_all(to_the_end=False, is_boot=True).get()
        self._is_starting = False
        self.manager.changed()
        self._look_for_the_end()
        self.journal.tell("daemon.started", pid=self.pid)
        log.info(
            "circusd runs name=%s pid=%d endpoint=%s",
            self.settings.name,
            self.pid,
            self.endpoints.addresses["commands"],
        )
        if self.configuration.circus.httpd and sys.stdout.isatty():
            # A link is a key: it is printed to a person's terminal, never into a log.
            link, _ = self.console.new_link("admin", "")
            sys.stdout.write(
                f"\n  The console: {link}\n  (opens once, within ten minutes; another one: circusctl weblink)\n"
            )
            sys.stdout.flush()

    def file_watchers(self, configuration: Configuration) -> list[tuple[WatcherConfig, str]]:
        """The watchers that a configuration asks for, with their kinds: its own, plugins', and the console's."""
        found = [(w, "watcher") for w in configuration.watchers]
        for plugin in configuration.plugins:
            args = [
                "--endpoint",
                self.endpoints.addresses["commands"],
                "--pubsub",
                self.endpoints.addresses["events"],
                *(("--log-level", "debug") if configuration.circus.debug else ()),
                plugin.use,
            ]
            cmd = shlex.join([sys.executable, "-P", "-m", "circusd.cli.plugin"])
            config = plugin_watcher(plugin, cmd, args, debug=configuration.circus.debug)
            found.append((with_plugin_options(config, {**plugin.options, "name": config.name}), "plugin"))
        if configuration.circus.httpd:
            found.append((self.console.watcher(configuration.circus), "httpd"))
        return found

    def add(self, config: WatcherConfig, kind: str, credentials: Credentials | None = None) -> Watcher:
        """The watcher is added, not started; the console's gets its connection anew at each start."""
        watcher = self.arbiter.add(config, kind, credentials)
        if kind == "httpd":
            watcher.launches.before_spawn = self.console.connect
        return watcher

    # -- stopping ------------------------------------------------------------------------------------------------

    def _told_to_give_up(self, opening: Any, signum: int) -> None:
        """Before there is anything to stop: what is open already is closed."""
        gevent.kill(opening, Interrupted())

    def _told_to_stop(self, signum: int) -> None:
        if self.arbiter.stopping:
            log.info("signal ignored signal=%s, circusd is stopping", words.signal_word(signum))
            return
        gevent.spawn(self.quit, words.signal_word(signum))

    def _told_to_reload(self, signum: int) -> None:
        self._reopen()
        if self.arbiter.stopping:
            log.info("signal ignored signal=SIGHUP, circusd is stopping")
            return
        names = [n for n, w in self.arbiter.watchers.items() if w.planner.wanted]
        log.info("reloading signal=SIGHUP watchers=%d", len(names))
        self.manager.reloading()
        result = self.arbiter.each(names, lambda w: w.submit(self.arbiter.job("reload")))
        result.rawlink(lambda _: self.manager.reloaded())

    def _told_to_reopen(self, signum: int) -> None:
        self._reopen()
        log.info("files opened again signal=SIGUSR1")

    def _reopen(self) -> None:
        """For programs that have moved files away: circusd's own log, and what streams go to."""
        self.settings.reopen_log()
        self.output_services.sinks.reopen()

    def _told_nothing(self, signum: int) -> None:
        log.info("signal ignored signal=%s", words.signal_word(signum))

    def quit(self, reason: str) -> AsyncResult[Any]:
        """Everything is being stopped in order; the result, how each watcher's stop ended, is there when all is.

        A second call waits for the same.
        """
        if self._quit is not None:
            return self._quit
        log.info("circusd is stopping reason=%r", reason)
        self.arbiter.stopping = True
        self.journal.tell("daemon.stopping", reason=reason)
        self.manager.stopping()
        result = self._quit = AsyncResult()

        def stopped(outcome: AsyncResult[Any]) -> None:
            result.set([ended for _, ended in outcome.value or ()])
            gevent.spawn(self._end)

        self.arbiter.stop_all(command="quit").rawlink(stopped)
        return result

    def _end(self) -> None:
        until = clock.now() + REPLIES_PATIENCE
        while clock.now() < until and any(c.queued for c in self.controller.connections.values()):
            gevent.sleep(0.005)
        self._stop.set()

    @property
    def accounts(self) -> Accounts:
        """Made at the first link or session: who never opens the console does not pay for its cryptography."""
        if self._accounts is None:
            from .accounts import Accounts
            from .peoplefile import people_in
            from .sessionfile import SessionFile

            folder = self.state_folder
            self._accounts = Accounts(
                self._session_ended, SessionFile(folder), people_in(folder), self._session_limits
            )
        return self._accounts

    @property
    def state_folder(self) -> StateFolder:
        """One for all that is kept in it, as it can be only one daemon's."""
        if self._state_folder is None:
            from .statefile import StateFolder

            self._state_folder = StateFolder(self.settings.name)
        return self._state_folder

    def _new_schedules(self, arbiter: Arbiter) -> Schedules:
        from .runfile import runs_in
        from .schedules import Schedules

        return Schedules(arbiter, runs_in(self.state_folder), self.history, self.life)

    @property
    def crashes(self) -> Crashes:
        """Made when a process fails for the first time, or when somebody asks for reports."""
        if self._crashes is None:
            from .crashes import Crashes

            self._crashes = Crashes(
                self.arbiter, self.history, self.load_history, self.state_folder, self.orders.by
            )
        return self._crashes

    def _failed(self, watcher: Watcher, failure: Failure) -> None:
        try:
            crashes = self.crashes
        except (OSError, ImportError, RuntimeError) as problem:
            # No descriptor, or no thread, can be had for them, which may be why the process has failed: the next one tries again.
            if not self._is_without_crashes:
                self._is_without_crashes = True
                log.warning("no crash reports for now: %s", problem)
        else:
            self._is_without_crashes = False
            crashes.note(watcher, failure)

    def _close_crashes(self) -> None:
        if self._crashes is not None:
            self._crashes.close()

    @property
    def metrics(self) -> Metrics:
        """Made when they are asked for."""
        if self._metrics is None:
            from .metrics import Metrics

            self._metrics = Metrics(self)
        return self._metrics

    @property
    def searches(self) -> Searches:
        """Made at the first search."""
        if self._searches is None:
            self._searches = self._make_searches()
        return self._searches

    def _new_searches(
        self, env: Mapping[str, str], nofile: tuple[int, int] | None, oom: int | None
    ) -> Searches:
        from .searches import Searches

        return Searches(
            self.history,
            self.reaper,
            env,
            lambda: files.state_path(self.settings.name),
            self.output_services.pending_marks,
            nofile=nofile,
            oom_score_adj=oom,
        )

    def _close_searches(self) -> None:
        if self._searches is not None:
            self._searches.close()

    def _session_ended(self, session: str) -> None:
        self.follows.end_session(session)
        if self._searches is not None:
            self._searches.end_session(session)

    @staticmethod
    def fingerprint_of(session: str) -> str:
        """What a session is called where it must not be known; empty for none."""
        if not session:
            return ""
        from .tokens import fingerprint

        return fingerprint(session)

    def _session_limits(self) -> tuple[float, float]:
        circus = self.configuration.circus
        return circus.httpd_session_idle, circus.httpd_session_age

    def _close_metrics(self) -> None:
        if self._metrics is not None:
            self._metrics.close()

    def _close_accounts(self) -> None:
        if self._accounts is not None:
            self._accounts.close()

    # -- what handlers ask for -----------------------------------------------------------------------------------

    @property
    def life(self) -> str:
        """Tells this life of the daemon from those before and after it."""
        return f"{self.epoch:.0f}-{self.pid}"

    def view(self) -> dict[str, Any]:
        """The daemon as ``inspect`` shows it."""
        return {
            "name": self.settings.name,
            "pid": self.pid,
            "version": __version__,
            "started": round(self.epoch, 3),
            "time": round(clock.wall(), 3),
            "utc_offset": clock.utc_offset(),
            "epoch": self.life,
            "endpoints": self.endpoints.addresses,
            "httpd": self.console.address,
            "config": self.settings.path,
            "lag": self.loop_lag.view()["p99"],
            "stopping": self.arbiter.stopping,
            "state": {
                "folder": files.state_path(self.settings.name),
                "problem": "" if self._accounts is None else self._accounts.problem,
            },
            "audit": self.audit.view(),
            "remote": self.endpoints.remote(),
            **self._machine,
        }

    def snapshot(self, scope: Scope = ALL) -> dict[str, Any]:
        """All of ``inspect`` that is of the scope, each watcher as it is when its turn comes; others have theirs meanwhile."""
        return snapshot.inspect(self.arbiter, self.view(), scope=scope)

    def watcher_view(self, name: str) -> dict[str, Any] | None:
        """One watcher as ``inspect`` shows it; None when it is gone."""
        watcher = self.arbiter.watchers.get(name.lower())
        return None if watcher is None else snapshot.watcher_view(self.arbiter, watcher)

    def follow(self, properties: dict[str, Any], context: Context) -> dict[str, Any]:
        """The stream that a request opens."""
        topics = properties["topics"]
        if not isinstance(topics, list) or not all(isinstance(topic, str) for topic in topics):
            raise BadRequest("topics must be a list of texts", field="topics")
        return self.follows.open(
            context.caller,
            context.request.id,
            topics,
            credit=as_int(properties["credit"], "credit"),
            lines=as_int(properties["lines"], "lines"),
            stream=properties.get("stream"),
            session=self.fingerprint_of(context.person.session),
            scope=context.person.scope,
        )

    def lead(self, scope: Scope = ALL) -> dict[str, str]:
        """The console's first lines, of the watchers of the scope."""
        watchers = scope.of_those(self.arbiter.watchers).values()
        return words.lead({w.name: w.planner for w in watchers}, clock.now())

    def global_options(self) -> dict[str, Any]:
        """The daemon's options in force: first the original's, in its order."""
        circus, addresses = self.configuration.circus, self.endpoints.addresses
        return {
            "endpoint": addresses["commands"],
            "stats_endpoint": addresses["stats"],
            "pubsub_endpoint": addresses["events"],
            "check_delay": circus.check_delay,
            "multicast_endpoint": circus.multicast_endpoint,
            "output_endpoint": addresses["output"],
            "name": self.settings.name,
            "warmup_delay": circus.warmup_delay,
            "httpd": circus.httpd,
        }

    def file_options(self) -> dict[str, Any]:
        """All options of ``[circus]`` that are in force, by name; secrets are hidden."""
        circus = self.configuration.circus
        return masked({row.name: getattr(circus, row.name) for row in CIRCUS if not row.legacy}, CIRCUS)

    def reload_configuration(self, *, dry_run: bool = False) -> dict[str, Any]:
        """The file is read again; with an error in it nothing changes, else the difference is applied, or only told."""
        # Loaded when it is needed: most daemons are never told to reload, and all have to start.
        from circusd.config import plan

        from .reload import Reload

        with self._reloading, ExitStack() as stack:
            if self.arbiter.stopping:
                raise Conflict("circusd is stopping")
            if not dry_run:
                self.manager.reloading()
                stack.callback(self.manager.reloaded)
            # A thousand watchers take long enough to read that others would notice.
            loaded = gevent.get_hub().threadpool.apply(load, (self.settings.path, os.environ))
            if loaded.configuration is None:
                raise ConfigError([p for p in loaded.problems if p.severity == "error"])
            wanted, refusal = self.console.allow(loaded.configuration)
            if refusal and self.configuration.circus.httpd:
                # It runs, and would be taken away.
                raise ConfigError([refusal])
            change = Reload(self, wanted)
            summary = plan.summary(change.steps)
            reply = {
                "summary": summary,
                "plan": [step.as_dict() for step in change.steps],
                "kept": [step.as_dict() for step in change.kept],
                "warnings": [
                    *(str(p) for p in loaded.problems if p.severity == "warning"),
                    *([refusal] if refusal else []),
                ],
            }
            if dry_run:
                change.discard()
                return {**reply, "dry_run": True}
            change.apply()
            self.console.refusal = refusal
            self.console.renew()
            self.journal.tell("daemon.reloaded", summary=summary)
            return reply

    def save_configuration(self, target: str, *, dry_run: bool, force: bool, digest: str) -> dict[str, Any]:
        """What was changed at run time is in the files, or would be; what that is."""
        from .saving import save

        with self._reloading:
            reply = save(self, target, dry_run=dry_run, force=force, digest=digest)
        if not dry_run and reply["changes"]:
            log.info("configuration saved files=%s", ",".join(reply["files"]))
        return reply

    def undo_save(self, *, dry_run: bool, digest: str) -> dict[str, Any]:
        """The files say what they said before the last save, or would; what that changes."""
        from .saving import undo

        with self._reloading:
            reply = undo(self, dry_run=dry_run, digest=digest)
        if not dry_run:
            log.info("save undone files=%s", ",".join(reply["files"]))
        return reply

    def apply_live(self) -> None:
        """What can be changed of ``[circus]`` without a restart is as the configuration says."""
        self.arbiter.warmup_delay = self.configuration.circus.warmup_delay
        self._set_umask()

    def _set_umask(self) -> None:
        umask = self.configuration.circus.umask
        os.umask(self._own_umask if umask is None else umask)

    def _status(self) -> str:
        """What the service manager shows of the daemon."""
        planners = [w.planner for w in self.arbiter.watchers.values()]
        if self.arbiter.stopping:
            left = sum(len(planner.pids()) for planner in planners)
            return f"Stopping: {words.count(left, 'process')} still to end."
        if self._is_starting:
            begun = sum(planner.wanted for planner in planners)
            return f"Starting: {begun} of {words.count(len(planners), 'watcher')} begun."
        return self.lead()["text"]

    def _watchers(self) -> Iterable[Watcher]:
        return self.arbiter.watchers.values()

    def _look_at(self, bounded: Bounded | None) -> None:
        self.stats.look_at(bounded)

    def _forget(self, name: str) -> None:
        self.history.forget(name)
        self.load_history.forget(name)
        self.crashes.forget(name)

    def _left(self, connection: bytes) -> None:
        self.follows.left(connection)
        self.waits.left(connection)
        if self._searches is not None:
            self._searches.left(connection)

    # -- told by the rooms ---------------------------------------------------------------------------------------

    def _changed(self, watcher: Watcher | str) -> None:
        self.follows.changed(watcher)
        self.waits.changed(watcher)
        self.orders.changed()
        self.manager.changed()
        if self.settings.init and not isinstance(watcher, str) and ending.has_ended(watcher.planner):
            self._look_for_the_end()

    def _look_for_the_end(self) -> None:
        """With ``--init``: circusd stops when nothing is left to do, and tells by its exit code what has become of it."""
        if not self.settings.init or self._is_starting or self.arbiter.stopping:
            return
        own = [w for w in self.arbiter.watchers.values() if w.kind == "watcher"]
        code = ending.verdict((w.planner, w.config.essential) for w in own)
        if code is not None:
            self._exit_code = code
            failed = ", ".join(w.name for w in own if ending.has_failed(w.planner))
            gevent.spawn(self.quit, f"nothing is left to do; failed: {failed or 'none'}")

    def _output_event(self, event: str, watcher: str, fields: dict[str, Any]) -> None:
        found = self.arbiter.watchers.get(watcher.lower())
        if found is not None:
            self.arbiter.post(None, lambda: found.tell(event, **fields))

    def _refused(self, refusal: Refusal) -> None:
        log.warning(
            "refused door=%s uid=%s from=%s reason=%r count=%d",
            refusal.door,
            refusal.uid,
            refusal.address,
            refusal.reason,
            refusal.count,
        )
        self.journal.tell("client.refused", door=refusal.door, uid=refusal.uid, reason=refusal.reason)
        self.audit.refuse(refusal)

    def _denied(self, entry: Mapping[str, Any], count: int) -> None:
        log.warning(
            "denied command=%s by=%r role=%s door=%s count=%d",
            entry["command"],
            entry.get("person", ""),
            entry.get("role", "none"),
            entry["door"],
            count,
        )
        to_whom = f" to the role {entry['role']}" if entry.get("person") else ""
        reason = f"{entry['command']} was denied{to_whom}"
        self.journal.tell("client.refused", door=entry["door"], uid=entry.get("uid"), reason=reason)

    def _audit_told(self, problem: str) -> None:
        if problem:
            log.warning("commands are not recorded: %s", problem)
            self.journal.tell("audit.failed", reason=problem)
        else:
            log.info("commands are recorded again")


def _tell_by_the_log() -> None:
    """What comes out of a greenlet or a thread of the hub is logged: gevent would write it to standard error, and wait
    there. Our own errors are for those who wait for the greenlet, and are not told twice."""
    hub: Any = gevent.get_hub()
    hub.NOT_ERROR = (*hub.NOT_ERROR, CircusError)
    hub.print_exception = _unexpected


def _unexpected(context: object, kind: Any, value: Any, trace: Any) -> None:
    error_id = os.urandom(4).hex()
    told = (kind, value, trace) if isinstance(value, BaseException) else None
    log.error("unexpected error in=%.200s id=%s", context, error_id, exc_info=told)


def with_plugin_options(config: WatcherConfig, options: Any) -> WatcherConfig:
    """The plugin's own options travel in its environment, so that values with spaces and quotes arrive."""
    return replace(config, env={**config.env, "CIRCUS_PLUGIN_CONFIG": encode(dict(options)).decode("ascii")})
