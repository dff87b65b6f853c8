-- name: thread_exists
select 1 as found from langyard.threads where thread_id = %(thread_id)s;

-- name: find
-- A temporary run is gone for its clients as soon as it has ended, even if its row still has to tell others of it.
select * from langyard.runs
where run_id = %(run_id)s and (%(thread_id)s::uuid is null or thread_id = %(thread_id)s::uuid)
    and not (temporary and finished_at is not null);

-- name: locate
select run_id, thread_id, graph_id, coalesce((kwargs ->> 'stream_resumable')::boolean, false) as resumable
from langyard.runs
where run_id = %(run_id)s and (%(thread_id)s::uuid is null or thread_id = %(thread_id)s::uuid);

-- name: search
select * from langyard.runs
where thread_id = %(thread_id)s and (%(status)s::text is null or status = %(status)s::text)
order by created_at desc, run_id desc limit %(limit)s offset %(offset)s;

-- name: open_of
select run_id from langyard.runs
where status in ('pending', 'running') and cancel_action is null
    and (%(thread_id)s::uuid is null or thread_id = %(thread_id)s::uuid)
    and (%(run_ids)s::uuid[] is null or run_id = any(%(run_ids)s::uuid[]))
    and (%(status)s::text is null or status = %(status)s::text)
order by created_at, run_id;

-- name: open_of_allowed
select r.run_id from langyard.runs r join langyard.threads t on t.thread_id = r.thread_id
where r.status in ('pending', 'running') and r.cancel_action is null
    and (%(thread_id)s::uuid is null or r.thread_id = %(thread_id)s::uuid)
    and (%(run_ids)s::uuid[] is null or r.run_id = any(%(run_ids)s::uuid[]))
    and (%(status)s::text is null or r.status = %(status)s::text)
    and {filter}
order by r.created_at, r.run_id;

-- name: delete
-- An ended run with what it left: its checkpoints, their writes and values, its events. Where a channel is stored as the
-- changes since some earlier checkpoint (LangGraph's delta channels), the later ones are built on these: they stay. So they
-- do where a run is open: it goes on from them, and its own checkpoints may not yet name the values it has from there.
with gone as (
    delete from langyard.runs where run_id = %(run_id)s and status not in ('pending', 'running')
    returning run_id, thread_id
), thread as (
    -- As it is now, whatever has begun since this statement did; who begins after it finds another revision.
    select t.thread_id, t.open_runs from langyard.threads t join gone using (thread_id) for update of t
), needed as (
    select from checkpoints c, gone
    where c.thread_id = gone.thread_id::text
        and (c.metadata ? 'counters_since_delta_snapshot' or c.metadata ? 'delta_writes_versioned')
    limit 1
), dropped as (
    delete from checkpoints c using gone
    where c.thread_id = gone.thread_id::text and c.metadata ->> 'run_id' = gone.run_id::text
        and not exists (select from needed) and (select open_runs from thread) = 0
    returning c.thread_id, c.checkpoint_ns, c.checkpoint_id, c.checkpoint -> 'channel_versions' as versions
), {left_behind}, changed as (
    update langyard.threads t set revision = t.revision + 1 from thread where t.thread_id = thread.thread_id
)
select run_id from gone;

-- name: due
-- Temporary runs whose readers elsewhere have had their time, of which nobody is still to be told, and for which nobody
-- can come with its idempotency key. Whoever looks after the server has a week for what was put into quarantine.
select x.thread_id from langyard.runs x join langyard.threads t using (thread_id)
where x.temporary and x.webhook_at is null and x.finished_at < now() - make_interval(secs => %(grace_s)s)
    and t.open_runs = 0 and not exists (select from langyard.idempotency_keys k where k.run_id = x.run_id)
    and (x.quarantined_at is null or x.quarantined_at < now() - interval '7 days')
order by x.finished_at limit %(limit)s
for update of x skip locked;

-- name: forget_outcomes
-- The state a run ended with is kept apart for those who come for it; then the thread's own is enough.
update langyard.runs set outcome = null where run_id in (
    select r.run_id from langyard.runs r
    where r.outcome is not null and r.webhook_at is null and r.finished_at < now() - make_interval(secs => %(after_s)s)
        and not exists (select from langyard.idempotency_keys k where k.run_id = r.run_id)
    order by r.finished_at limit %(limit)s
    for update skip locked
);

-- name: expire
-- Rows of ended runs. Their ids are made of the time: what is old comes first in the primary key, and no other index is
-- needed. Checkpoints stay, the thread goes on with them.
with old as (
    select r.run_id from langyard.runs r
    where r.run_id < %(before)s and r.status not in ('pending', 'running') and r.webhook_at is null and not r.temporary
        and r.finished_at < now() - make_interval(secs => %(after_s)s)
        and not exists (select from langyard.idempotency_keys k where k.run_id = r.run_id)
        and (r.quarantined_at is null or r.quarantined_at < now() - interval '7 days')
    order by r.run_id limit %(limit)s
    for update skip locked
), events as (
    delete from langyard.events e using old where e.run_id = old.run_id
), effects as (
    delete from langyard.effects e using old where e.run_id = old.run_id
)
delete from langyard.runs r using old where r.run_id = old.run_id;
