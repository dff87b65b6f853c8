-- name: write
-- Everything all runs of a process want stored, in one statement and so in one transaction and one fsync.
-- `held` are the leases still ours; locking their rows holds off a take-over until this commits. Lease 0 is nobody's:
-- writes outside any run. Rows of a lease that is gone write nothing; the answer names the leases that were honoured.
with locked as materialized (
    -- Row by row, by its key and in the order of all who lock runs: a plan that was made while the table was short must not
    -- read the whole of it, nor everything that runs.
    select g.lease, r.*
    from (select * from unnest(%(leases)s, %(run_ids)s, %(fences)s) as u(lease, run_id, fence) order by u.run_id) as g
    cross join lateral (
        select r.thread_id, r.status, r.watched, r.webhook_at, r.cancel_action, r.cancel_reason
        from langyard.runs r where r.run_id = g.run_id and r.fence = g.fence
        for no key update of r
    ) as r
), held as materialized (
    select lease from locked union all select 0
), asked as (
    -- Told to stop before it came to its end: then it has none of its own, whoever was the faster by a moment. Nor is one
    -- that stopped by itself, or for its node, rolled back already.
    select f.lease, l.cancel_action, l.cancel_reason
    from unnest(%(f_lease)s, %(f_status)s) as f(lease, status) join locked l using (lease)
    where l.cancel_action = 'rollback' or l.cancel_action is not null and f.status <> 'interrupted'
){kept}, put_blobs as (
    insert into checkpoint_blobs (thread_id, checkpoint_ns, channel, version, type, blob)
    select thread_id, ns, channel, version, type, blob
    from unnest(%(b_lease)s, %(b_thread)s, %(b_ns)s, %(b_channel)s, %(b_version)s, %(b_type)s, %(b_blob)s)
        as b(lease, thread_id, ns, channel, version, type, blob)
    where lease in (select lease from held)
    on conflict do nothing
), put_checkpoints as (
    insert into checkpoints (thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id, checkpoint, metadata)
    select thread_id, ns, id, parent, checkpoint::jsonb, metadata::jsonb
    from unnest(%(c_lease)s, %(c_thread)s, %(c_ns)s, %(c_id)s, %(c_parent)s, %(c_checkpoint)s, %(c_metadata)s)
        as c(lease, thread_id, ns, id, parent, checkpoint, metadata)
    where lease in (select lease from held)
    on conflict (thread_id, checkpoint_ns, checkpoint_id)
        do update set checkpoint = excluded.checkpoint, metadata = excluded.metadata
), put_writes as (
    insert into checkpoint_writes (thread_id, checkpoint_ns, checkpoint_id, task_id, task_path, idx, channel, type, blob)
    select thread_id, ns, id, task_id, task_path, idx, channel, type, blob
    from unnest(%(w_lease)s, %(w_thread)s, %(w_ns)s, %(w_id)s, %(w_task)s, %(w_path)s, %(w_idx)s, %(w_channel)s, %(w_type)s, %(w_blob)s)
        as w(lease, thread_id, ns, id, task_id, task_path, idx, channel, type, blob)
    where lease in (select lease from held)
    on conflict do nothing
), put_rewrites as (
    insert into checkpoint_writes (thread_id, checkpoint_ns, checkpoint_id, task_id, task_path, idx, channel, type, blob)
    select thread_id, ns, id, task_id, task_path, idx, channel, type, blob
    from unnest(%(o_lease)s, %(o_thread)s, %(o_ns)s, %(o_id)s, %(o_task)s, %(o_path)s, %(o_idx)s, %(o_channel)s, %(o_type)s, %(o_blob)s)
        as o(lease, thread_id, ns, id, task_id, task_path, idx, channel, type, blob)
    where lease in (select lease from held)
    on conflict (thread_id, checkpoint_ns, checkpoint_id, task_id, idx)
        do update set channel = excluded.channel, type = excluded.type, blob = excluded.blob
), put_events as (
    insert into langyard.events (run_id, seq, thread_id, event, data)
    select run_id, seq, thread_id, event, data
    from unnest(%(e_lease)s, %(e_run)s, %(e_seq)s, %(e_thread)s, %(e_event)s, %(e_data)s) as e(lease, run_id, seq, thread_id, event, data)
    where lease in (select lease from held) and not (event = 'end' and lease in (select lease from asked))
    on conflict do nothing
), ended as (
    select f.*, l.watched, l.thread_id, l.webhook_at from unnest(
        %(f_lease)s, %(f_run)s, %(f_status)s, %(f_error)s, %(f_thread_status)s, %(f_thread_error)s, %(f_values)s,
        %(f_interrupts)s, %(f_config)s, %(f_temporary)s
    ) as f(lease, run_id, status, error, thread_status, thread_error, state, interrupts, config, temporary)
    join locked l using (lease)
    -- As the row was when it was locked; nobody changes it before this commits.
    where l.status = 'running' and lease not in (select lease from asked)
), gone as (
    -- A temporary run takes its thread with it, and so itself, unless somebody elsewhere still has to read of its end.
    delete from langyard.threads t
    using ended e
    where e.temporary > 0 and not e.watched and e.webhook_at is null and t.thread_id = e.thread_id and t.open_runs = 1
        -- Asked once, before a thread is looked at: most have none.
        and (select bool_or(temporary > 0) from ended)
    returning e.run_id
), finished as (
    update langyard.runs r set
        status = ended.status, error = ended.error::jsonb, worker_id = null, finished_at = now(), updated_at = now(),
        outcome = case when r.watched or r.webhook_at is not null then jsonb_build_object(
            'values', ended.state::jsonb, 'interrupts', ended.interrupts::jsonb, 'status', ended.thread_status) end
    from ended
    where r.run_id = ended.run_id and r.run_id not in (select run_id from gone)
    returning r.run_id, r.thread_id, r.watched, ended.thread_error, ended.thread_status, ended.state, ended.interrupts,
        ended.config, r.graph_id, r.assistant_id
), freed as (
    update langyard.threads t set
        open_runs = t.open_runs - 1,
        revision = t.revision + 1,
        status = case when t.open_runs > 1 then 'busy' else f.thread_status end,
        waiting = case when f.interrupts is null then t.waiting else f.thread_status = 'interrupted' end,
        "values" = coalesce(f.state::jsonb, t."values"),
        interrupts = coalesce(f.interrupts::jsonb, t.interrupts),
        config = coalesce(f.config::jsonb, t.config),
        -- Another graph's run may have made it busy: its state is the last run's, and so is the graph to read it with.
        metadata = case when t.metadata ->> 'graph_id' <> f.graph_id then t.metadata || jsonb_strip_nulls(
            jsonb_build_object('graph_id', f.graph_id, 'assistant_id', f.assistant_id)) else t.metadata end,
        error = f.thread_error::jsonb,
        updated_at = now(), state_updated_at = now()
    from finished f where t.thread_id = f.thread_id
    returning f.run_id, t.open_runs
)
select
    (select array_agg(lease) from held) as held,
    (select array_agg(array[lease::text, cancel_action, coalesce(cancel_reason, '')]) from asked) as asked,
    (select array_agg(run_id) from freed where open_runs > 0) as queued,
    (select count(pg_notify('langyard', 'end ' || run_id)) from finished where watched) as ends_told,
    (select count(pg_notify('langyard', 'events ' || run_id || ' ' || seq))
        from unnest(%(followed)s, %(followed_seqs)s) as f(run_id, seq)) as events_told;

-- name: left
select run_id from langyard.runs where run_id = any(%(run_ids)s);

-- name: kept
-- Part of `write` where a run writes to a checkpoint that it did not make: what is there before it does.
, base as (
    select lease, run_id, thread_id, ns, id
    from unnest(%(k_lease)s, %(k_run)s, %(k_thread)s, %(k_ns)s, %(k_id)s) as k(lease, run_id, thread_id, ns, id)
    where lease in (select lease from held)
), kept as (
    insert into langyard.run_bases (run_id, checkpoint_ns, checkpoint_id, task_id, idx, channel, type, blob, task_path)
    select base.run_id, base.ns, base.id, w.task_id, w.idx, w.channel, w.type, w.blob, w.task_path
    from base join checkpoint_writes w
        on w.thread_id = base.thread_id and w.checkpoint_ns = base.ns and w.checkpoint_id = base.id
    where not exists (select from langyard.run_bases k
        where k.run_id = base.run_id and k.checkpoint_ns = base.ns and k.checkpoint_id = base.id)
    union all
    select base.run_id, base.ns, base.id, '', 0, null, null, null, '' from base
    on conflict do nothing
)
