-- Lock order: rows of runs before rows of threads. A thread that is copied, pruned or updated touches no run.

-- name: create
-- No row: there is such a thread.
insert into langyard.threads as t (thread_id, metadata, ttl_strategy, ttl, expires_at)
values (
    %(thread_id)s, %(metadata)s::jsonb, %(strategy)s::text, make_interval(secs => %(ttl_s)s::float8),
    now() + make_interval(secs => %(ttl_s)s::float8)
)
on conflict (thread_id) do nothing
returning t.thread_id, t.status, t.metadata, t.config, t."values"::text as "values", t.interrupts, t.error, t.created_at,
    t.updated_at, t.state_updated_at, t.ttl_strategy, extract(epoch from t.ttl)::float8 as ttl_s, t.expires_at,
    t.open_runs, t.revision;

-- name: find
-- A thread lives its time from its last change on; the index entry follows when the sweep comes to it.
select t.thread_id, t.status, t.metadata, t.config, t."values"::text as "values", t.interrupts, t.error, t.created_at,
    t.updated_at, t.state_updated_at, t.ttl_strategy, extract(epoch from t.ttl)::float8 as ttl_s,
    greatest(t.expires_at, t.updated_at + t.ttl) as expires_at, t.open_runs, t.revision
from langyard.threads t where t.thread_id = %(thread_id)s;

-- name: merge
-- One statement on the row as it is now: of two that set different keys at once, both survive.
update langyard.threads t set
    metadata = t.metadata || %(metadata)s::jsonb,
    ttl_strategy = coalesce(%(strategy)s::text, t.ttl_strategy),
    ttl = coalesce(make_interval(secs => %(ttl_s)s::float8), t.ttl),
    expires_at = coalesce(now() + make_interval(secs => %(ttl_s)s::float8), t.expires_at),
    updated_at = now()
where t.thread_id = %(thread_id)s
returning t.thread_id, t.status, t.metadata, t.config, t."values"::text as "values", t.interrupts, t.error, t.created_at,
    t.updated_at, t.state_updated_at, t.ttl_strategy, extract(epoch from t.ttl)::float8 as ttl_s, t.expires_at,
    t.open_runs, t.revision;

-- name: search
select {columns} from langyard.threads t where {conditions} order by {order} limit %(limit)s offset %(offset)s;

-- name: count
select count(*) as n from langyard.threads t where {conditions};

-- name: one_snapshot
set transaction isolation level repeatable read;

-- name: lock
select thread_id, status, metadata, config, open_runs, revision from langyard.threads
where thread_id = %(thread_id)s for update;

-- name: set_state
-- Whoever reads the thread is told, whichever process they are in.
with changed as (
    update langyard.threads set
        status = %(status)s, waiting = %(status)s = 'interrupted', "values" = %(values)s::jsonb, interrupts = %(interrupts)s::jsonb, error = null,
        revision = revision + 1, updated_at = now(), state_updated_at = now()
    where thread_id = %(thread_id)s
    returning thread_id
)
select pg_notify('langyard', 'state ' || c.thread_id)
from changed c join langyard.thread_readers x on x.thread_id = c.thread_id and x.until > now();

-- name: copy
-- What waits for an answer in the source waits in the copy; what runs or has failed there does neither here. One statement
-- with that which copies its checkpoints, and so of one moment.
with made as (
    insert into langyard.threads as t (thread_id, metadata, "values", interrupts, waiting, status, ttl_strategy, ttl, expires_at)
    select %(target)s::text::uuid, metadata || %(metadata)s::jsonb, "values", interrupts, waiting,
        case when waiting then 'interrupted' else 'idle' end,
        %(strategy)s::text, make_interval(secs => %(ttl_s)s::float8), now() + make_interval(secs => %(ttl_s)s::float8)
    from langyard.threads where thread_id = %(source)s::text::uuid
    -- Sent a second time after its first answer was lost, it finds its own.
    on conflict (thread_id) do nothing
    returning t.thread_id, t.status, t.metadata, t.config, t."values"::text as "values", t.interrupts, t.error, t.created_at,
        t.updated_at, t.state_updated_at, t.ttl_strategy, extract(epoch from t.ttl)::float8 as ttl_s, t.expires_at,
        t.open_runs, t.revision
), {copied}
select * from made;

-- name: open_runs
select run_id from langyard.runs where thread_id = any(%(thread_ids)s) and status in ('pending', 'running');

-- name: delete_runs
-- Whoever still writes for a run holds its row; once it is gone, nothing more of that run is let in.
delete from langyard.runs where thread_id = any(%(thread_ids)s);

-- name: delete_events
delete from langyard.events where thread_id = any(%(thread_ids)s);

-- name: delete_checkpoints
-- LangGraph's tables, where a thread's id is text.
with c as (delete from checkpoints where thread_id = any(%(names)s)),
    b as (delete from checkpoint_blobs where thread_id = any(%(names)s))
delete from checkpoint_writes where thread_id = any(%(names)s);

-- name: delete_threads
-- Sessions and crons go with their threads.
delete from langyard.threads where thread_id = any(%(thread_ids)s) returning thread_id;

-- name: of_assistant
select t.thread_id from langyard.threads t
where t.metadata @> jsonb_build_object('assistant_id', %(assistant_id)s::text) and {filter} limit %(limit)s;

-- name: due
-- What nobody is sweeping already. One that was used since its time was set gets more of it; one that is kept begins anew,
-- as does one that is not deleted because somebody was asked, or somebody is still to be told of a run.
with found as (
    select t.thread_id, greatest(t.expires_at, t.updated_at + t.ttl) as until,
        t.ttl_strategy = 'delete' and (
            (t.status = 'interrupted' and not %(paused)s)
            or exists (select from langyard.runs r where r.thread_id = t.thread_id and r.webhook_at is not null)
        ) as spared
    from langyard.threads t
    where t.expires_at <= now() and t.open_runs = 0
    order by t.expires_at limit %(limit)s
    for update of t skip locked
)
update langyard.threads t set expires_at = case when found.until > now() then found.until else now() + t.ttl end
from found where t.thread_id = found.thread_id
returning t.thread_id, t.ttl_strategy, found.until <= now() and not found.spared as expired;

-- name: storage
with c as (
    select count(*) as n, coalesce(sum(pg_column_size(c.*)), 0) as bytes from checkpoints c where thread_id = %(name)s
), b as (
    select channel, count(*) as n, coalesce(sum(octet_length(blob)), 0) as bytes
    from checkpoint_blobs where thread_id = %(name)s group by channel
), w as (
    select count(*) as n, coalesce(sum(octet_length(blob)), 0) as bytes from checkpoint_writes where thread_id = %(name)s
)
select c.n as checkpoints, c.bytes::int8 as checkpoint_bytes, w.n as writes, w.bytes::int8 as write_bytes,
    (select coalesce(sum(b.n), 0) from b)::int8 as blobs, (select coalesce(sum(b.bytes), 0) from b)::int8 as blob_bytes,
    (select coalesce(jsonb_object_agg(b.channel, b.bytes), '{}') from b) as by_channel
from c, w;

-- name: standing
select t.thread_id, t.priority, t.fairness_group, t.metadata from langyard.threads t
where t.thread_id = coalesce(
    (select s.thread_id from langyard.sessions s where s.session_id = %(session_id)s::text), %(thread_id)s::uuid);

-- name: keep_standing
update langyard.threads set priority = %(priority)s, fairness_group = %(fairness_group)s
where thread_id = %(thread_id)s and priority is null;
