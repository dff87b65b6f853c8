-- name: register
insert into langyard.workers (worker_id, host, pid, version, slots, graphs, expires_at)
values (%(worker_id)s, %(host)s, %(pid)s, %(version)s, %(slots)s, %(graphs)s, now() + make_interval(secs => %(ttl_s)s));

-- name: renew
-- No row back means somebody buried this worker: its runs are no longer its own.
update langyard.workers set renewed_at = now(), expires_at = now() + make_interval(secs => %(ttl_s)s)
where worker_id = %(worker_id)s
returning worker_id;

-- name: leave
delete from langyard.workers where worker_id = %(worker_id)s;

-- name: bury
-- Takes the runs of workers that stopped renewing: back to pending for the next attempt, or into quarantine after the last.
-- One that has a single attempt left leaves the queue (`ready`, `turn`): its claims are those of `suspects`. If it was not
-- there for five leases when the worker died, those that were had no part in that death.
-- One that is to stop goes back twice as often: the next worker does not execute it, it settles what is left of it.
-- A server that was itself away must first give the living time to renew, hence the postmaster's age. The fence grows
-- here already, so that a worker which wakes between burial and the next claim is refused as well. Whoever waits for the
-- run waits elsewhere from now on, and whoever reads, or comes back to read, is told of the next attempt.
with dead as (
    select worker_id from langyard.workers
    where expires_at < now() and now() - pg_postmaster_start_time() > make_interval(secs => %(ttl_s)s)
    order by worker_id for update skip locked
), buried as (
    delete from langyard.workers w using dead where w.worker_id = dead.worker_id returning w.worker_id, w.renewed_at
), orphan as (
    select r.run_id, r.worker_id, r.started_at, r.deaths + 1 as deaths, r.cancel_action is null as wanted
    from langyard.runs r
    where r.status = 'running' and (
        r.worker_id in (select worker_id from buried)
        or not exists (select from langyard.workers w where w.worker_id = r.worker_id))
    order by r.run_id
    for update of r skip locked
), met as (
    select o.*, o.deaths >= %(max_attempts)s * (case when o.wanted then 1 else 2 end) as last,
        o.started_at > coalesce(b.renewed_at, o.started_at) - make_interval(secs => 5 * %(ttl_s)s) as young
    from orphan o left join buried b using (worker_id)
), judged as (
    select m.*, m.last and (m.young or not bool_or(m.last and m.young) over (partition by m.worker_id)) as lost from met m
), taken as (
    update langyard.runs r set
        status = case when not lost then 'pending' when r.cancel_action = 'interrupt' then 'interrupted' else 'error' end,
        error = case when lost then jsonb_build_object(
            'error', 'WorkerLost', 'message', 'The worker died ' || j.deaths || ' times while it ran this; it is not tried again.') end,
        deaths = case when j.last and not lost then r.deaths else j.deaths end,
        quarantined_at = case when lost then now() end,
        finished_at = case when lost then now() end,
        available_at = case when j.wanted and j.deaths + 1 >= %(max_attempts)s then now() else r.available_at end,
        ready = r.ready and not (j.wanted and j.deaths + 1 >= %(max_attempts)s),
        turn = case when j.wanted and j.deaths + 1 >= %(max_attempts)s then 0 else r.turn end,
        worker_id = null, fence = r.fence + 1, watched = true, followed = true, updated_at = now()
    from judged j where r.run_id = j.run_id
    returning r.run_id, r.thread_id, r.status, r.error
), {given_up}
select run_id, status,
    pg_notify('langyard', case status when 'pending' then 'wake' else 'end ' || run_id end)::text as told
from taken;
