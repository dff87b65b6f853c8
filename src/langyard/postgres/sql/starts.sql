-- name: start_together
-- What `start` does, for many runs at once, in one transaction: those that a worker of this process takes, that no cap
-- concerns, and whose thread is there and idle, or is made for them alone. Nobody is waited for, and so nobody who waits
-- for several of them can be waited for in turn: what is locked, not idle or not there has no row here, and is asked for
-- by itself. So is a thread whose state is large (and a run that is given much): the others would wait until it is read.
with asked as (
    select * from unnest(
        -- In a select: how many they are is hidden from the planner, who would plan anew for so few each time.
        (select %(numbers)s), %(run_ids)s, %(worker_ids)s, %(thread_ids)s, %(session_ids)s, %(assistant_ids)s,
        %(graph_ids)s, %(user_ids)s, %(kwargs)s, %(metadata)s, %(inherited)s, %(thread_metadata)s, %(graph_metadata)s,
        %(strategies)s, %(priorities)s, %(fairness_groups)s, %(lasting)s, %(webhooks)s, %(temporary)s
    ) as a(
        number, run_id, worker_id, thread_id, session_id, assistant_id, graph_id, user_id, kwargs, metadata, inherited,
        thread_metadata, graph_metadata, multitask_strategy, priority, fairness_group, lasting, webhook, temporary)
), session as materialized (
    select a.number, s.session_id, s.thread_id from asked a cross join lateral (
        select s.session_id, s.thread_id from langyard.sessions s
        where s.session_id = a.session_id and s.user_id = a.user_id and s.expires_at > now()
        for no key update of s skip locked
    ) as s
    -- One that is temporary has no session. Asked since the planner then expects few, and has each looked for by its
    -- key below, however short the table is when it plans.
    where a.temporary = 0
), slid as (
    update langyard.sessions s set last_accessed = now(), expires_at = now() + s.ttl
    from session where s.session_id = session.session_id
), idle as materialized (
    select a.number, a.graph_metadata, t.thread_id, t.revision, t.config
    from (
        select a.number, a.graph_metadata, case when a.session_id is null then a.thread_id::uuid else s.thread_id end as thread_id
        from asked a left join session s using (number) where a.temporary = 0
    ) as a cross join lateral (
        select t.thread_id, t.revision, t.config from langyard.threads t
        where t.thread_id = a.thread_id and t.open_runs = 0 and coalesce(pg_column_size(t."values"), 0) < %(large)s
        for no key update of t skip locked
    ) as t
), taken as (
    update langyard.threads t set
        status = 'busy', open_runs = t.open_runs + 1, metadata = t.metadata || idle.graph_metadata::jsonb, updated_at = now()
    from idle where t.thread_id = idle.thread_id
    returning idle.number, t.thread_id, idle.revision, idle.config, t.metadata
), made as (
    insert into langyard.threads (thread_id, status, open_runs, metadata)
    select a.thread_id::uuid, 'busy', 1, a.thread_metadata::jsonb from asked a where a.temporary > 0
    on conflict do nothing
    returning thread_id, revision, config, metadata
), thread as (
    select t.number, t.thread_id, t.revision, t.config, t.metadata, false as fresh,
        exists (select from langyard.thread_readers x where x.thread_id = t.thread_id and x.until > now()) as read
    from taken t
    union all
    select a.number, m.thread_id, m.revision, m.config, m.metadata, true, false
    from made m join asked a on a.thread_id::uuid = m.thread_id
), run as (
    insert into langyard.runs (
        run_id, thread_id, assistant_id, graph_id, user_id, status, kwargs, metadata, multitask_strategy, priority,
        attempt, fence, worker_id, available_at, created_at, started_at, watched, followed, temporary, webhook_at,
        fairness_group, ready, turn
    )
    select
        a.run_id, thread.thread_id, a.assistant_id::uuid, a.graph_id, a.user_id, 'running', a.kwargs::json,
        a.inherited::jsonb || thread.metadata || a.metadata::jsonb, a.multitask_strategy, a.priority::int2,
        1, 1, a.worker_id, now(), now(), clock_timestamp(), a.lasting > 0 or thread.read, thread.read,
        a.temporary > 0, case when a.webhook > 0 then now() end, a.fairness_group, true, 0
    from thread join asked a using (number)
    returning run_id, thread_id, followed, watched, status, attempt, fence, created_at, started_at, metadata
)
select
    run.*, thread.number, thread.revision, thread.config, thread.fresh,
    (select x.revision from langyard.threads x where x.thread_id = thread.thread_id) as seen,
    case when thread.read then pg_notify('langyard', 'run ' || thread.thread_id || ' ' || run.run_id)::text end as announced,
    head.*
from run join thread using (thread_id)
left join lateral (
    {head} and not thread.fresh
    order by c.checkpoint_id desc limit 1
) as head on true;
