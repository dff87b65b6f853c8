-- name: candidate
-- Under whom workers have died but once less often than a run may be tried: one of them is to blame, and the next time
-- it must be alone among them, or it takes the others along. One at a time a worker, until it has ended, or has gone well
-- for five leases: `bury` then does not blame it for what comes after. They are not on the queue (`ready`), and come in
-- the order in which they were put back.
select r.run_id from langyard.runs r
where r.status = 'pending' and not r.ready and r.turn = 0 and r.available_at <= now()
    and r.deaths > 0 and r.deaths + 1 >= %(max_attempts)s and r.graph_id = any(%(graphs)s::text[])
    and langyard.is_first(r.thread_id, r.run_id, r.created_at)
    and not exists (
        select from langyard.runs s
        where s.worker_id = %(worker_id)s and s.status = 'running' and s.deaths > 0 and s.deaths + 1 >= %(max_attempts)s
            and s.started_at > now() - make_interval(secs => 5 * %(ttl_s)s::float8))
    and langyard.has_room(r.graph_id, (%(caps)s::integer[])[array_position(%(graphs)s::text[], r.graph_id)],
        r.user_id, %(user_cap)s::integer)
order by r.available_at, r.run_id limit 1
for update skip locked

-- name: give_back
-- A run that could not be executed, or not be ended, through a fault of the server: again after a pause, or into quarantine
-- after the last time. One that was to be interrupted has been.
with faulty as (
    select r.run_id, r.deaths + %(counts)s::int as deaths,
        case when not %(counts)s or r.deaths + 1 < %(max_attempts)s then 'pending'
            when r.cancel_action = 'interrupt' then 'interrupted' else 'error' end as status
    from langyard.runs r
    where r.run_id = %(run_id)s and r.fence = %(fence)s and r.status = 'running'
    for update
), taken as (
    update langyard.runs r set
        status = faulty.status, deaths = faulty.deaths, worker_id = null, fence = r.fence + 1,
        error = case when faulty.status <> 'pending' then jsonb_build_object(
            'error', 'InternalError', 'message', 'A fault of the server kept this run from going on or ending, or its '
            || 'worker died, ' || faulty.deaths || ' times in all; it is not tried again.') end,
        quarantined_at = case when faulty.status <> 'pending' then now() end,
        finished_at = case when faulty.status <> 'pending' then now() end,
        available_at = now() + make_interval(secs => %(delay_s)s), ready = false, turn = 0,
        watched = true, followed = true, updated_at = now()
    from faulty where r.run_id = faulty.run_id
    returning r.run_id, r.thread_id, r.status, r.error
), {given_up}
select status, case when status <> 'pending' then pg_notify('langyard', 'end ' || run_id)::text end as told from taken;
