"""The composition root: `build` picks every adapter, `App` opens and closes them in order. Nothing else does."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING

from langyard.assistants import Assistants
from langyard.auth import Cache, Gate, Standing
from langyard.config import (
    HttpSection,
    OwnSection,
    Project,
    Settings,
    StoreSection,
    ThreadTtl,
    WebhookSection,
    auth_section,
    http_section,
    own_section,
    priority_path,
    retry_policy,
    store_section,
    thread_ttl_section,
    webhook_section,
)
from langyard.conversations import Conversations
from langyard.crons import Crons
from langyard.graphs import Graphs
from langyard.graphs.blocking import pool
from langyard.graphs.embeddings import load_embeddings
from langyard.graphs.load import load_part
from langyard.invocations import Invocations
from langyard.items import Items
from langyard.limits import QueueBound
from langyard.model.errors import ConfigurationError
from langyard.model.runs import Caps, Ttl
from langyard.model.shown import run_json
from langyard.model.stopping import stop
from langyard.postgres import embedded
from langyard.postgres.database import Database
from langyard.postgres.embedded import EmbeddedServer
from langyard.postgres.migrations import index_values, index_vectors, migrate
from langyard.postgres.notifications import Listener
from langyard.postgres.store import Store, StoreOptions, VectorIndex, open_store
from langyard.postgres.writer import Writer
from langyard.retention import Retention, Times
from langyard.runs import NoSlots, Runs
from langyard.sessions import Sessions
from langyard.streams import Heard, LocalBus, RemoteEvents
from langyard.streams.threads import ThreadReaders
from langyard.telemetry.metrics import Metrics
from langyard.telemetry.siblings import Siblings
from langyard.threads import States, Threads
from langyard.webhooks import Sender, WebhookRules, Webhooks
from langyard.worker import Worker
from langyard.worker.options import Options

if TYPE_CHECKING:
    from langyard.streams.redis import RedisRelay

log = logging.getLogger(__name__)


class App:
    """Everything one process is made of. Made by `build`; use as an async context manager on the gateway's loop."""

    def __init__(
        self,
        settings: Settings,
        graphs: Graphs,
        *,
        with_worker: bool = True,
        store: StoreOptions | None = None,
        webhooks: WebhookRules | None = None,
        own: OwnSection | None = None,
        gate: Gate | None = None,
        http: HttpSection | None = None,
        custom: object = None,
        thread_ttl: ThreadTtl | None = None,
        standing: Standing | None = None,
    ) -> None:
        self.settings = settings
        self.graphs = graphs
        self._own = own or OwnSection()
        self._caps = _caps(settings, self._own)
        self.metrics = Metrics()
        self.siblings: Siblings | None = None
        self.gate = gate
        self.http = http or HttpSection()
        self.custom = custom
        self._standing = standing
        self.bus = LocalBus(limit=settings.streams.buffer_events)
        self.worker: Worker | None = None
        self.draining = False
        self._with_worker = with_worker and settings.worker.slots > 0
        self._store = store or StoreOptions()
        self.webhooks = Webhooks(webhooks)
        self._ttl = settings.retention.thread_ttl or thread_ttl or ThreadTtl()
        self._embedded: EmbeddedServer | None = None
        self._relay: RedisRelay | None = None
        self._chores: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> App:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.close()

    async def open(self) -> None:
        """Start the database if it is ours, migrate it, then the rules, then the worker."""
        settings = self.settings
        url, direct = settings.database.url, settings.database.direct_url
        if url is None:
            self._embedded = await asyncio.to_thread(embedded.start, settings.home)
            url = self._embedded.url
        try:
            await self._open(url, direct or url)
        except BaseException:  # whatever it was, what is open by now is closed
            await self.close()
            raise

    async def _open(self, url: str, direct: str) -> None:
        settings = self.settings
        if settings.database.migrate:
            await migrate(direct)
        if self._store.index is not None:
            await index_vectors(direct, self._store.index.config())
        if settings.retention.values_index:
            await index_values(direct)
        pooler = settings.database.pooler == "transaction"
        self.database = Database(
            url, name="gateway", max_size=settings.database.pool_max_size, transaction_pooler=pooler
        )
        await self.database.open()
        self.sender = Sender(
            self.database,
            self.webhooks,
            run_json,
            enabled="webhooks" not in self.http.disabled,
            poll_s=settings.webhooks.poll_seconds,
        )
        self.sender.start()
        await self._open_runs(url, direct)
        self.assistants = Assistants(self.database, self.graphs)
        await self.assistants.open()
        ttl = _default(self._ttl)
        self.invocations = Invocations(self.database, self.runs, self.assistants, self.webhooks, ttl=ttl)
        self.writer = Writer(self.database)
        self.writer.start()
        paused = settings.retention.expire_paused_threads
        self.threads = Threads(self.database, ttl=ttl, expire_paused=paused)
        self.states = States(self.database, self.writer, self.threads, self.assistants, self.graphs)
        self.readers = ThreadReaders(self.database, self.runs, self.states.get, limit=settings.streams.buffer_events)
        self.readers.open()
        self.crons = Crons(self.database, self.assistants, self.webhooks, ttl=ttl)
        self.items = Items(
            self.database,
            self._open_store(self.database),
            refresh=self._store.refresh_on_read,
            ttl_min=self._store.default_ttl_min,
        )
        self._listener = Listener(direct, self._on_note, self._on_gap)
        self._listener.start()
        if self._relay is not None:
            self._relay.start(Heard(self.runs.on_part, self.runs.on_ended, self._on_relayed, self._on_gap))
        self.sessions = Sessions(
            self.database, ttl_s=settings.sessions.ttl_seconds, grace_s=settings.sessions.grace_seconds
        )
        self.conversations = Conversations(
            self.database, self.sessions, self.runs, self.graphs, run_timeout_s=settings.runs.timeout_seconds
        )
        self.retention = Retention(self.database, self._times(), self.threads, self.sessions, self.items)
        self._chores.append(asyncio.create_task(self.retention.watch(), name="langyard retention"))
        self._chores.append(asyncio.create_task(self.crons.watch(), name="langyard crons"))

    async def _open_runs(self, url: str, direct: str) -> None:
        """What executes runs here, if anything does, and what reads them wherever they execute."""
        poll_s, wake = self.settings.worker.poll_seconds, self.sender.wake
        self._relay = relay = self._make_relay(self.settings.redis.url)
        if self._with_worker:
            self.worker = Worker(
                self._worker_options(url, direct),
                self.graphs,
                self.bus,
                store=self._open_store,
                on_webhook=wake,
                relay=relay,
                metrics=self.metrics,
            )
            await asyncio.to_thread(self.worker.start)
        remote = RemoteEvents(self.database, self.bus, poll_s=poll_s, relay=relay)
        self.runs = Runs(
            self.database,
            self.bus,
            self.worker or NoSlots(),
            remote,
            poll_s=poll_s,
            on_webhook=wake,
            caps=self._caps,
            bound=self._queue_bound(),
            standing=self._standing,
            relay=relay,
        )
        await self.runs.open()

    def _queue_bound(self) -> QueueBound | None:
        most = self.settings.limits.max_pending_runs
        if most is None:
            return None
        bound = QueueBound(self.database, most)
        self._chores.append(asyncio.create_task(bound.watch(), name="langyard queue bound"))
        return bound

    def pools(self) -> dict[str, dict[str, int]]:
        """How the connections of each pool stand."""
        found = {"gateway": self.database.pool_stats()}
        if self.worker is not None and (told := self.worker.pool()):
            found["worker"] = told
        return found

    def _times(self) -> Times:
        settings = self.settings
        return Times(
            events_s=settings.streams.event_retention_seconds,
            runs_s=settings.retention.run_seconds,
            sweep_s=settings.retention.sweep_seconds,
            sessions_every_s=settings.sessions.sweep_seconds,
            threads_every_s=self._ttl.sweep_interval_min * 60,
            items_every_s=self._store.sweep_min * 60,
            threads_at_once=self._ttl.sweep_limit,
        )

    def _open_store(self, database: Database) -> Store:
        return open_store(database, self._store)

    def _worker_options(self, url: str, direct: str) -> Options:
        settings = self.settings
        return Options(
            url=url,
            direct_url=direct,
            transaction_pooler=settings.database.pooler == "transaction",
            pool_size=settings.database.pool_max_size,
            slots=settings.worker.slots,
            lease_ttl_s=settings.worker.lease_ttl_seconds,
            lease_renew_s=settings.worker.lease_renew_seconds,
            poll_s=settings.worker.poll_seconds,
            sweep_s=settings.worker.sweep_seconds,
            grace_s=settings.worker.drain_grace_seconds,
            run_timeout_s=settings.runs.timeout_seconds,
            max_attempts=settings.runs.max_attempts,
            recursion_limit=settings.runs.recursion_limit,
            caps=self._caps,
            cancel_grace_s=settings.worker.cancel_grace_seconds,
            watchdog_s=settings.worker.watchdog_seconds,
            retry=retry_policy(settings.runs),
            retries=self._own.retries(settings.runs),
        )

    def _make_relay(self, url: str | None) -> RedisRelay | None:
        if url is None:
            return None
        try:
            from langyard.streams.redis import at
        except ImportError as error:
            raise ConfigurationError(
                "REDIS_URL is set, but the client for Redis is not installed: pip install 'langyard[redis]'."
            ) from error
        return at(url)

    def _on_relayed(self, kind: str, text: str) -> None:
        if not self._listener.listening:  # else PostgreSQL says it as early
            self._on_note(kind, text)

    @property
    def lesser(self) -> Mapping[str, float | None]:
        """What the process can do without, by name: milliseconds of its last answer, None while it gives none."""
        return {} if self._relay is None else {"redis": self._relay.latency_ms}

    def _on_note(self, kind: str, text: str) -> None:
        self.assistants.on_note(kind, text)
        self.runs.on_note(kind, text)
        self.readers.on_note(kind, text)

    def _on_gap(self) -> None:
        self.assistants.on_gap()
        self.runs.on_gap()
        self.readers.on_gap()

    async def close(self) -> None:
        """Drain the worker, then close what was opened, in reverse."""
        self.draining = True
        await stop(self._chores)
        if self.worker is not None:
            await asyncio.to_thread(self.worker.stop)
        if self._relay is not None:
            await self._relay.close()
        if hasattr(self, "_listener"):
            await self._listener.close()
        if hasattr(self, "sender"):
            await self.sender.close()
        self.webhooks.close()
        if hasattr(self, "readers"):
            await self.readers.close()
        if hasattr(self, "runs"):
            await self.runs.close()
        if hasattr(self, "writer"):
            await self.writer.close()
        if hasattr(self, "database"):
            await self.database.close()
        loops: list[Gate | Standing] = [one for one in (self.gate, self._standing) if one is not None]
        for one in loops:
            one.close()
        if self._embedded is not None:
            await asyncio.to_thread(self._embedded.close)


def build(settings: Settings, project: Project | None = None, *, with_worker: bool = True) -> App:
    """The process that these settings and this project describe; nothing is opened yet.

    Raises ConfigurationError where what the project says of `auth` or `http` cannot be had: nothing is served then.
    """
    http = http_section(project)
    if http.mount_prefix is not None and not settings.gateway.mount_prefix:
        settings = replace(settings, gateway=replace(settings.gateway, mount_prefix=http.mount_prefix))
    graphs = Graphs()
    if project is not None:
        graphs.load(project, strict=settings.strict)
    return App(
        settings,
        graphs,
        with_worker=with_worker,
        store=_store_options(store_section(project), project),
        webhooks=_webhook_rules(webhook_section(project), settings.webhooks.secret),
        own=own_section(project),
        gate=_gate(project),
        standing=_standing(project),
        http=http,
        custom=load_part("http.app", http.app, project.root).value if http.app and project is not None else None,
        thread_ttl=thread_ttl_section(project),
    )


def _gate(project: Project | None) -> Gate | None:
    section = auth_section(project)
    if section is None or project is None:
        return None
    found = load_part("auth.path", section.path, project.root)
    cache = Cache(section.cache.keys, section.cache.ttl_s, section.cache.size) if section.cache else None
    return Gate(found.value, found.place, pool.run, cache=cache, document=section.openapi)


def _standing(project: Project | None) -> Standing | None:
    path = priority_path(project)
    if path is None or project is None:
        return None
    found = load_part("priority.path", path, project.root)
    return Standing(found.value, found.place, pool.run)


def _caps(settings: Settings, own: OwnSection) -> Caps | None:
    user = settings.limits.user_concurrency
    return Caps(own.caps, user) if own.caps or user is not None else None


def _store_options(section: StoreSection, project: Project | None) -> StoreOptions:
    index = None
    if section.index is not None and project is not None:
        embed = load_embeddings(section.index.embed, project.root)
        index = VectorIndex(section.index.dims, embed, section.index.fields)
    return StoreOptions(index, section.refresh_on_read, section.default_ttl_min, section.sweep_interval_min)


def _default(ttl: ThreadTtl) -> Ttl | None:
    return None if ttl.default_ttl_min is None else Ttl(ttl.default_ttl_min * 60, ttl.strategy)


def _webhook_rules(section: WebhookSection, secret: bytes | None) -> WebhookRules:
    return WebhookRules(
        require_https=section.require_https,
        domains=section.allowed_domains,
        ports=section.allowed_ports,
        max_length=section.max_url_length,
        loopback=not section.disable_loopback,
        private=not section.disable_private_ips,
        headers=section.headers,
        fields=section.allowed_fields,
        secret=secret,
    )
