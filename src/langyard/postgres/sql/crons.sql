-- name: create
insert into langyard.crons (
    cron_id, assistant_id, thread_id, user_id, schedule, timezone, end_time, payload, metadata, on_run_completed,
    enabled, next_run_date
) values (
    %(cron_id)s, %(assistant_id)s, %(thread_id)s, %(user_id)s, %(schedule)s, %(timezone)s, %(end_time)s,
    %(payload)s::json, %(metadata)s::jsonb, %(on_run_completed)s, %(enabled)s, %(next_run_date)s
)
returning *;

-- name: find
select * from langyard.crons where cron_id = %(cron_id)s;

-- name: lock
select * from langyard.crons where cron_id = %(cron_id)s for update;

-- name: put
update langyard.crons set
    schedule = %(schedule)s, timezone = %(timezone)s, end_time = %(end_time)s, payload = %(payload)s::json,
    metadata = %(metadata)s::jsonb, on_run_completed = %(on_run_completed)s, enabled = %(enabled)s,
    next_run_date = %(next_run_date)s, updated_at = now()
where cron_id = %(cron_id)s
returning *;

-- name: delete
delete from langyard.crons where cron_id = %(cron_id)s returning cron_id;

-- name: search
select * from langyard.crons c where {conditions} order by {order} limit %(limit)s offset %(offset)s;

-- name: count
select count(*) as n from langyard.crons c where {conditions};

-- name: wait
-- Seconds until the next slot of any cron; null when there is none.
select extract(epoch from min(next_run_date) - clock_timestamp())::float8 as seconds
from langyard.crons where enabled and next_run_date is not null;

-- name: due
select cron_id from langyard.crons
where enabled and next_run_date is not null and next_run_date <= coalesce(%(now)s::timestamptz, now())
order by next_run_date limit %(limit)s;

-- name: take
-- Each for one scheduler only; another passes over what is held here. Not by the cron's row: rows of runs and threads are
-- locked before it.
select pg_try_advisory_xact_lock(hashtextextended('cron ' || %(cron_id)s::text, 0)) as taken;

-- name: slot
-- After `take`, in its transaction, since it may have been fired a moment before.
select c.*, coalesce(%(now)s::timestamptz, now()) as now, a.graph_id, a.name as assistant_name, a.description,
    a.config as assistant_config, a.context as assistant_context, a.metadata as assistant_metadata, a.version,
    a.created_at as assistant_created_at, a.updated_at as assistant_updated_at
from langyard.crons c join langyard.assistants a using (assistant_id)
where c.cron_id = %(cron_id)s and c.enabled and c.next_run_date <= coalesce(%(now)s::timestamptz, now());

-- name: advance
update langyard.crons set next_run_date = %(next_run_date)s
where cron_id = %(cron_id)s and enabled and next_run_date = %(slot)s;
