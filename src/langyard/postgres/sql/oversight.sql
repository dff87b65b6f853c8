-- name: list
select r.run_id, r.thread_id, r.graph_id, r.user_id, r.status, r.attempt, r.deaths, r.retries, r.cancel_action, r.error,
    r.quarantined_at, r.created_at, r.available_at, r.started_at, r.finished_at, w.host, w.pid
from langyard.runs r left join langyard.workers w using (worker_id)
where (%(status)s::text is null or r.status = %(status)s::text)
    and (%(thread_id)s::uuid is null or r.thread_id = %(thread_id)s::uuid)
    and (%(graph_id)s::text is null or r.graph_id = %(graph_id)s::text)
    and (not %(quarantined)s or r.quarantined_at is not null)
    and (%(older_s)s::float8 is null or r.created_at < now() - make_interval(secs => %(older_s)s::float8))
order by r.run_id desc limit %(limit)s;

-- name: show
select r.run_id, r.thread_id, r.assistant_id, r.graph_id, r.user_id, r.status, r.kwargs, r.metadata, r.multitask_strategy,
    r.priority, r.attempt, r.deaths, r.retries, r.fence, r.cancel_action, r.cancel_reason, r.error, r.quarantined_at,
    r.temporary, r.created_at, r.available_at, r.started_at, r.finished_at, r.worker_id, w.host, w.pid,
    w.renewed_at as lease_renewed_at, w.expires_at as lease_expires_at, t.status as thread_status, t.open_runs
from langyard.runs r join langyard.threads t using (thread_id) left join langyard.workers w using (worker_id)
where r.run_id = %(run_id)s;

-- name: checkpoints
-- The thread's latest, with the run that made each.
select checkpoint_id, metadata ->> 'run_id' as run_id, (metadata ->> 'step')::int as step, metadata ->> 'source' as source
from checkpoints where thread_id = %(thread_id)s::text and checkpoint_ns = ''
order by checkpoint_id desc limit %(limit)s;

-- name: orphans
select r.run_id from langyard.runs r
where r.status = 'running'
    and not exists (select from langyard.workers w where w.worker_id = r.worker_id and w.expires_at >= now())
order by r.run_id;

-- name: miscounted
select t.thread_id, t.status, t.open_runs, count(r.run_id)::int as counted
from langyard.threads t
left join langyard.runs r on r.thread_id = t.thread_id and r.status in ('pending', 'running')
group by t.thread_id
having t.open_runs <> count(r.run_id) or (t.status = 'busy') <> (count(r.run_id) > 0)
order by t.thread_id;

-- name: lock_thread
-- Before `recount`, in its transaction: whoever begins or ends a run on the thread waits, and counts on from there.
select from langyard.threads where thread_id = %(thread_id)s for update;

-- name: recount
with counted as (
    select count(*)::int as n from langyard.runs where thread_id = %(thread_id)s and status in ('pending', 'running')
)
update langyard.threads t set
    open_runs = counted.n, updated_at = now(),
    status = case when counted.n > 0 then 'busy' when t.interrupts <> '{}' then 'interrupted'
        when t.error is not null then 'error' else 'idle' end
from counted
where t.thread_id = %(thread_id)s and (t.open_runs <> counted.n or (t.status = 'busy') <> (counted.n > 0))
returning t.thread_id, t.open_runs, t.status;

-- name: wake
select pg_notify('langyard', 'wake')::text as told;
