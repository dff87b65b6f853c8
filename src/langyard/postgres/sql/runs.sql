-- Lock order everywhere: rows of runs before rows of threads. Only `start` takes the thread first, and it then touches
-- no run row but the one it inserts.

-- name: start
-- Slides the session (if one is named) or makes it, makes its thread busy, inserts the run, and claims it at once when a worker is
-- offered and nothing else is open on the thread. The latest checkpoint comes along; `fresh` says the thread was made
-- here, `seen` the revision this statement's snapshot read: when it differs from `revision`, the thread changed
-- meanwhile and the checkpoint must be read again. A thread that is read as a whole has the run announced. No row: no such session or thread, it is busy and
-- `reject` was set, or its revision is not the one asked for.
with session as (
    update langyard.sessions s set last_accessed = now(), expires_at = now() + s.ttl
    where s.session_id = %(session_id)s and s.user_id = %(user_id)s and s.expires_at > now()
    returning s.thread_id
), made as (
    -- Of two that make it at once one gets no row, and asks again.
    insert into langyard.sessions (session_id, user_id, thread_id, ttl, expires_at)
    select %(session_id)s::text, %(user_id)s, %(thread_id)s::uuid, make_interval(secs => %(session_ttl_s)s::float8),
        now() + make_interval(secs => %(session_ttl_s)s::float8)
    where %(session_ttl_s)s::float8 is not null and not exists (select from session)
        and not exists (select from langyard.sessions x where x.session_id = %(session_id)s::text)
    on conflict do nothing
    returning thread_id
), target as (
    select coalesce((select thread_id from session), %(thread_id)s) as thread_id
    where %(session_id)s::text is null or exists (select from session) or exists (select from made)
), thread as (
    insert into langyard.threads as t (thread_id, status, open_runs, metadata, ttl_strategy, ttl, expires_at)
    select target.thread_id, 'busy', 1, %(thread_metadata)s::jsonb, %(ttl_strategy)s::text,
        make_interval(secs => %(ttl_s)s::float8), now() + make_interval(secs => %(ttl_s)s::float8)
    from target
    where %(may_create)s or exists (select from made)
        -- Locked: one that is being deleted is waited for, and then not made anew.
        or exists (select from langyard.threads x where x.thread_id = target.thread_id for key share)
    on conflict (thread_id) do update set
        status = 'busy',
        open_runs = t.open_runs + 1,
        metadata = case when t.open_runs = 0 then t.metadata || %(graph_metadata)s::jsonb else t.metadata end,
        updated_at = now()
    where (t.open_runs = 0 or not %(reject)s) and t.revision = coalesce(%(revision)s::bigint, t.revision)
    returning t.thread_id, t.open_runs, t.revision, t.config, t.metadata as thread_metadata, (t.xmax = 0) as fresh
), reader as (
    select exists (
        select from langyard.thread_readers x where x.thread_id = thread.thread_id and x.until > now()
    ) as there from thread
), run as (
    insert into langyard.runs (
        run_id, thread_id, assistant_id, graph_id, user_id, status, kwargs, metadata, multitask_strategy, priority,
        attempt, fence, worker_id, available_at, created_at, started_at, watched, followed, temporary, webhook_at,
        fairness_group, ready, turn
    )
    select
        %(run_id)s, thread.thread_id, %(assistant_id)s::uuid, %(graph_id)s, %(user_id)s,
        case when claimed then 'running' else 'pending' end,
        %(kwargs)s::json, %(inherited)s::jsonb || thread.thread_metadata || %(metadata)s::jsonb,
        %(multitask_strategy)s, %(priority)s::int2,
        claimed::int, claimed::int, case when claimed then %(worker_id)s::uuid end,
        -- A delayed run queues where it begins, not where it was asked for: it must not hold up those before it.
        -- It begins when it has the thread, which another may have had since this transaction began.
        now() + delay, now() + delay, case when claimed then clock_timestamp() end,
        %(lasting)s or (%(awaited)s and not claimed) or reader.there,
        (%(events)s and not claimed) or reader.there, %(temporary)s, case when %(webhook)s then now() end,
        %(fairness_group)s::text,
        -- A hint: whether it is the first of its thread is seen again by whoever claims it.
        claimed or (%(after_s)s::float8 <= 0 and (thread.open_runs = 1 or not exists (
            select from langyard.runs o
            where o.thread_id = thread.thread_id and o.status in ('pending', 'running')
                and (o.created_at, o.run_id) < (now(), %(run_id)s::uuid)))),
        case when claimed or %(after_s)s::float8 > 0 then 0 else langyard.turn_of(
            %(graph_id)s,
            langyard.share_of(%(fairness_group)s::text, %(user_id)s, %(assistant_id)s::uuid, %(graph_id)s),
            %(priority)s::integer) end
    from thread, reader, lateral (
        select case
                when thread.open_runs > 1 or %(worker_id)s::uuid is null or %(after_s)s::float8 > 0 then false
                when %(graph_cap)s::integer is null and %(user_cap)s::integer is null then true
                -- Whoever waits for room has it first.
                when exists (
                    select from langyard.runs q
                    where q.status = 'pending' and q.ready and q.graph_id = %(graph_id)s and q.available_at <= now()
                        and (%(graph_cap)s::integer is not null or q.user_id = %(user_id)s)) then false
                else langyard.has_room(%(graph_id)s, %(graph_cap)s::integer, %(user_id)s, %(user_cap)s::integer)
            end as claimed,
            make_interval(secs => %(after_s)s::float8) as delay
        -- Asked once, whatever is read of it.
        offset 0
    ) as offer
    returning status, attempt, fence, created_at, started_at, metadata, followed, watched
)
select
    thread.thread_id, run.followed, run.watched, run.status, run.attempt, run.fence, run.created_at, run.started_at,
    run.metadata, thread.revision, thread.config, thread.thread_metadata, thread.fresh,
    (select x.revision from langyard.threads x where x.thread_id = thread.thread_id) as seen,
    case when run.status = 'pending' and %(worker_id)s::uuid is null then pg_notify('langyard', 'wake')::text end as told,
    case when reader.there
        then pg_notify('langyard', 'run ' || thread.thread_id || ' ' || %(run_id)s::text)::text end as announced,
    head.*
from run cross join thread cross join reader
left join lateral (
    -- A thread that was made here may have checkpoints by LangGraph's own saver, unless its id is of our making.
    {head} and run.status = 'running' and not (thread.fresh and (%(temporary)s or %(session_id)s::text is not null))
    order by c.checkpoint_id desc limit 1
) as head on true;

-- name: claim
-- The queue: pending runs that are due, first of their thread, on threads where nothing runs, by turn. Two claimers
-- never get the same row (skip locked), and the unique index refuses a second running run on a thread whatever else
-- happens. The latest checkpoint comes along, as this statement's snapshot has it, which is older than the claim: `current`
-- if nobody had the run in between, who would leave it with another fence, nor another run the thread, which would have
-- another revision by now. (A claim with caps waits for others; a run asked for before may be stored after the snapshot.)
-- Otherwise the thread's config is read again, and the checkpoint when the run asks for it.
with candidate as (
    {candidates}
), claimed as (
    update langyard.runs r set
        status = 'running', worker_id = %(worker_id)s, fence = r.fence + 1,
        -- One that is to stop is only settled.
        attempt = r.attempt + (r.cancel_action is null)::int, started_at = clock_timestamp(), updated_at = now()
    from candidate, langyard.threads t
    where r.run_id = candidate.run_id and r.status = 'pending' and t.thread_id = r.thread_id
    returning r.run_id, r.thread_id, r.assistant_id, r.graph_id, r.user_id, r.kwargs, r.metadata, r.attempt, r.fence,
        r.followed, r.watched, r.retries, r.cancel_action, r.cancel_reason, r.multitask_strategy, r.created_at,
        r.started_at, t.config as config_seen, t.revision, coalesce(pg_column_size(t."values"), 0) as size
)
select thread.*, head.*, still.current,
    case when still.current then thread.config_seen else langyard.config_of(thread.thread_id) end as config
from claimed as thread
cross join lateral (
    select thread.fence = 1 + (select x.fence from langyard.runs x where x.run_id = thread.run_id)
        and thread.revision = langyard.revision_of(thread.thread_id)
        -- Many large states at once would fill the memory, and who claims them waits for all.
        and thread.size < 256 * 1024 as current
    offset 0
) as still
left join lateral (
    {head} and still.current
    order by c.checkpoint_id desc limit 1
) as head on true;

-- name: candidates
-- A walk along the queue of each graph, as far as it must: rows that wait for another on their thread are not on it.
-- Of a thread, one that was begun and put back comes first, then the oldest.
select c.run_id
from unnest(%(graphs)s::text[]) as g(graph_id)
cross join lateral (
    select r.run_id, r.turn
    from langyard.runs r
    where r.status = 'pending' and r.ready and r.graph_id = g.graph_id and r.available_at <= now()
        and not exists (
            select from langyard.runs o
            where o.thread_id = r.thread_id and o.status in ('pending', 'running') and o.run_id <> r.run_id
                and (o.status = 'running' or (o.started_at is null, o.created_at, o.run_id)
                    < (r.started_at is null, r.created_at, r.run_id))
        )
    order by r.turn, r.run_id
    limit %(slots)s
    for update skip locked
) as c
order by c.turn, c.run_id
limit %(slots)s;

-- name: candidates_within_caps
select run_id from langyard.within_caps(%(graphs)s::text[], %(caps)s::integer[], %(user_cap)s::integer, %(slots)s::integer)
    as w(run_id);

-- name: let_in
-- Delayed runs that are due take their place; each of a share behind the other. Those that had begun go first. The worker
-- that sees to it says on the way how many runs it has ended. `suspects` are claimed by themselves.
with told as (
    update langyard.workers set ended = %(ended)s where worker_id = %(worker_id)s and ended <> %(ended)s
), due as (
    select r.run_id from langyard.runs r
    where r.status = 'pending' and not r.ready and r.turn = 0 and r.available_at <= now()
        and not (r.deaths > 0 and r.deaths + 1 >= %(max_attempts)s)
    order by r.available_at limit 1000
    for update skip locked
), placed as (
    select r.run_id, r.graph_id, r.priority, r.started_at is null as unbegun,
        langyard.share_of(r.fairness_group, r.user_id, r.assistant_id, r.graph_id) as share,
        row_number() over (
            partition by langyard.share_of(r.fairness_group, r.user_id, r.assistant_id, r.graph_id)
            order by r.priority, r.available_at, r.run_id) - 1 as behind
    from due join langyard.runs r using (run_id)
), let_in as (
    update langyard.runs r set ready = true, turn = case when placed.unbegun
        then langyard.turn_of(placed.graph_id, placed.share, placed.priority) + placed.behind else 0 end
    from placed where r.run_id = placed.run_id
    returning r.run_id
)
select (select count(*) from let_in) as placed, exists (
    select from langyard.runs r
    where r.status = 'pending' and not r.ready and r.turn = 0 and r.available_at <= now()
        and r.deaths > 0 and r.deaths + 1 >= %(max_attempts)s
) as suspects;

-- name: heal
-- Runs that are first of their thread and were not let in, since somebody held them when the run before ended. A step a
-- thread, from one thread on.
with recursive thread as (
    (select r.thread_id from langyard.runs r
    where r.status = 'pending' and not r.ready and r.turn > 0
        and (%(after)s::uuid is null or r.thread_id > %(after)s::uuid)
    order by r.thread_id limit 1)
    union all
    select (
        select r.thread_id from langyard.runs r
        where r.status = 'pending' and not r.ready and r.turn > 0 and r.thread_id > t.thread_id
        order by r.thread_id limit 1)
    from thread t where t.thread_id is not null
), seen as materialized (
    select thread_id from thread where thread_id is not null limit %(limit)s
), first as (
    select o.run_id from seen cross join lateral (
        select r.run_id, r.status, r.ready from langyard.runs r
        where r.thread_id = seen.thread_id and r.status in ('pending', 'running')
        order by r.created_at, r.run_id limit 1
    ) as o
    where o.status = 'pending' and not o.ready
), healed as (
    update langyard.runs set ready = true where run_id in (
        select r.run_id from langyard.runs r
        where r.run_id in (select run_id from first) and r.status = 'pending' and not r.ready
        order by r.run_id for update skip locked)
    returning run_id
)
select (select count(*) from healed) as healed, (select count(*) from seen) as looked,
    (select thread_id from seen order by thread_id desc limit 1) as last;

-- name: get
select r.*, t.config from langyard.runs r join langyard.threads t using (thread_id) where r.run_id = %(run_id)s;

-- name: latest_of_thread
select r.* from langyard.runs r where r.thread_id = %(thread_id)s order by r.created_at desc limit 1;

-- name: outcome
-- A run's end as anybody may read it after the fact: its own when it was watched from another process, else the
-- thread's, which is this run's as long as it is the last.
select r.run_id, r.thread_id, r.graph_id, r.status, r.error, r.created_at, r.started_at, r.finished_at, r.user_id,
    coalesce(nullif(r.outcome -> 'values', 'null'), t."values")::text as "values",
    coalesce(nullif(r.outcome -> 'interrupts', 'null'), t.interrupts) as interrupts,
    coalesce(r.outcome ->> 'status', t.status) as thread_status
from langyard.runs r join langyard.threads t using (thread_id)
where r.run_id = %(run_id)s;

-- name: outcomes
-- A run that is not there any more has ended as well.
select g.run_id from unnest(%(run_ids)s) as g(run_id)
left join langyard.runs r on r.run_id = g.run_id
where r.run_id is null or r.status not in ('pending', 'running');

-- name: cancel
-- Runs that nobody has begun end here and now; rolled back, a temporary one takes its thread with it. Those that were
-- begun are asked to stop: whoever executes one, or claims it next, settles what it has left behind. Once: who asks a
-- second time finds that it is done. With `skip locked`, runs whose thread somebody holds are left: who waits for a
-- thread has no other, and so nobody waits for him.
with open as (
    select r.run_id, r.thread_id, r.status, r.started_at is null as unbegun, r.temporary and %(action)s = 'rollback' as fleeting
    from langyard.runs r
    where r.run_id = any(%(run_ids)s) and r.status in ('pending', 'running') and r.cancel_action is null
    order by r.run_id for update of r
), ending as materialized (
    select thread_id, count(*)::int as n, bool_and(fleeting) as fleeting from open where unbegun group by thread_id
), held as materialized (
    select t.thread_id, t.open_runs from langyard.threads t where t.thread_id in (select thread_id from ending)
    order by t.thread_id for update of t {patience}
), thread as (
    select e.thread_id, e.n, e.fleeting and h.open_runs = e.n as goes from ending e join held h using (thread_id)
), chosen as (
    select * from open where not unbegun or thread_id in (select thread_id from held)
), {stopped}, freed as (
    update langyard.threads t set open_runs = t.open_runs - thread.n, updated_at = now(),
        status = case when t.open_runs > thread.n then 'busy' when t.waiting then 'interrupted' else 'idle' end
    from thread where t.thread_id = thread.thread_id and not thread.goes
), closed as (
    delete from langyard.threads t using thread where t.thread_id = thread.thread_id and thread.goes
), told as (
    select run_id, pg_notify('langyard', case when unbegun then 'end ' else 'cancel ' end || run_id)::text as told,
        case when status = 'pending' then pg_notify('langyard', 'wake')::text end as woken
    from chosen
)
select open.run_id, open.unbegun as ended, told.run_id is null as left, told.told, told.woken
from open left join told using (run_id);

-- name: wishes
-- What others want of the runs a worker holds: that they stop, that their events are stored for readers elsewhere.
select r.run_id, r.fence, r.cancel_action, r.cancel_reason, r.followed
from unnest(%(run_ids)s, %(fences)s) as g(run_id, fence)
join langyard.runs r on r.run_id = g.run_id and r.fence = g.fence and r.status = 'running'
where r.followed or r.cancel_action is not null;

-- name: watch
-- Ask whoever runs it to tell of its end, and with `events` to store what it streams from now on.
update langyard.runs set watched = true, followed = followed or %(events)s
where run_id = %(run_id)s and status in ('pending', 'running') and not (watched and (followed or not %(events)s))
returning run_id, case when %(events)s then pg_notify('langyard', 'follow ' || run_id)::text end as told;

-- name: alone
-- Before `supersede`, in its transaction: of two such runs on one thread, the second waits and then sees the first.
select pg_advisory_xact_lock(hashtextextended(%(thread_id)s::text, 0));

-- name: supersede
-- Multitask strategies `interrupt` and `rollback`: everything open on the thread ends or is asked to stop, as `cancel`
-- does it. In one transaction with the `start` of the run that takes their place.
with chosen as (
    select r.run_id, r.status, r.started_at is null as unbegun from langyard.runs r
    where r.thread_id = %(thread_id)s and r.status in ('pending', 'running') and r.cancel_action is null
    order by r.run_id for update of r
), {stopped}, ended as (
    select count(*)::int as n from chosen where unbegun
), freed as (
    update langyard.threads t set open_runs = t.open_runs - ended.n, updated_at = now(),
        status = case when t.open_runs > ended.n then 'busy' when t.waiting then 'interrupted' else 'idle' end
    from ended where t.thread_id = %(thread_id)s and ended.n > 0
)
select run_id, unbegun as ended, pg_notify('langyard', case when unbegun then 'end ' else 'cancel ' end || run_id)::text as told
from chosen;

-- name: roll_back
-- A run that is rolled back leaves nothing behind: its checkpoints, their writes and blobs, its row, and the thread of a
-- temporary one. What others' checkpoints had before it wrote to them is put back. Fenced as any write.
with gone as (
    delete from langyard.runs where run_id = %(run_id)s and fence = %(fence)s and status = 'running'
    returning run_id, thread_id, watched, temporary
), dropped as (
    delete from checkpoints c using gone
    where c.thread_id = gone.thread_id::text and c.metadata ->> 'run_id' = gone.run_id::text
    returning c.thread_id, c.checkpoint_ns, c.checkpoint_id, c.checkpoint -> 'channel_versions' as versions
), unwritten as (
    delete from checkpoint_writes w using gone, langyard.run_bases b
    where b.run_id = gone.run_id and b.channel is null and w.thread_id = gone.thread_id::text
        and w.checkpoint_ns = b.checkpoint_ns and w.checkpoint_id = b.checkpoint_id
        and not exists (select from langyard.run_bases k where k.run_id = gone.run_id
            and (k.checkpoint_ns, k.checkpoint_id, k.task_id, k.idx) = (w.checkpoint_ns, w.checkpoint_id, w.task_id, w.idx))
), restored as (
    insert into checkpoint_writes (thread_id, checkpoint_ns, checkpoint_id, task_id, task_path, idx, channel, type, blob)
    select gone.thread_id::text, b.checkpoint_ns, b.checkpoint_id, b.task_id, b.task_path, b.idx, b.channel, b.type, b.blob
    from gone join langyard.run_bases b using (run_id)
    where b.channel is not null and exists (select from checkpoints c
        where (c.thread_id, c.checkpoint_ns, c.checkpoint_id) = (gone.thread_id::text, b.checkpoint_ns, b.checkpoint_id)
            and c.metadata ->> 'run_id' is distinct from gone.run_id::text)
    on conflict (thread_id, checkpoint_ns, checkpoint_id, task_id, idx)
        do update set channel = excluded.channel, type = excluded.type, blob = excluded.blob
), {left_behind}, freed as (
    update langyard.threads t set
        open_runs = t.open_runs - 1, revision = t.revision + 1, updated_at = now(), error = %(error)s::jsonb,
        status = case when t.open_runs > 1 then 'busy' when t.waiting then 'interrupted' else 'idle' end
    from gone where t.thread_id = gone.thread_id and not (gone.temporary and t.open_runs = 1)
), closed as (
    delete from langyard.threads t using gone where t.thread_id = gone.thread_id and gone.temporary and t.open_runs = 1
)
select run_id, case when watched then pg_notify('langyard', 'end ' || run_id)::text end as told from gone;

-- name: strays
-- The age keeps clear of claims that are still on their way back to the worker; should one come later all the same, its
-- fence is the older.
update langyard.runs r set fence = r.fence + 1, started_at = now(), updated_at = now()
from langyard.threads t
where t.thread_id = r.thread_id and r.worker_id = %(worker_id)s and r.status = 'running' and r.run_id <> all(%(held)s)
    and r.started_at < now() - interval '5 seconds'
returning r.*, t.config;

-- name: hand_back
-- A draining worker returns what it has left at its last checkpoint; the attempt does not count. Who waits for a run waits
-- elsewhere now.
update langyard.runs set status = 'pending', worker_id = null, attempt = greatest(attempt - 1, 0), fence = fence + 1,
    watched = true, followed = true, updated_at = now()
where worker_id = %(worker_id)s and status = 'running'
returning run_id, pg_notify('langyard', 'wake')::text as told;

-- name: retry
-- After an error of the infrastructure: again from the last checkpoint, after a pause, during which no claim steps over
-- it. One that is to stop has none: whoever claims it settles it.
update langyard.runs set status = 'pending', worker_id = null, fence = fence + 1, retries = retries + 1,
    available_at = now() + case when cancel_action is null then make_interval(secs => %(delay_s)s) else interval '0' end,
    ready = cancel_action is not null or %(delay_s)s <= 0,
    turn = case when cancel_action is not null or %(delay_s)s <= 0 then turn else 0 end,
    error = %(error)s::jsonb, watched = true, followed = followed or %(followed)s, updated_at = now()
where run_id = %(run_id)s and fence = %(fence)s and status = 'running'
returning run_id;

-- name: depth
-- How many runs are due and wait, counted along an index (hence the orders) and no further than need be, and what each
-- worker that lives has ended so far.
select (select count(*) from (
        select from langyard.runs where status = 'pending' and ready
        order by graph_id, turn, run_id limit %(most)s) as r)
    + (select count(*) from (
        select from langyard.runs where status = 'pending' and not ready and turn > 0
        order by thread_id, created_at, run_id limit %(most)s) as r) as depth,
    (select array_agg(worker_id order by worker_id) from langyard.workers) as workers,
    (select array_agg(ended order by worker_id) from langyard.workers) as ended;

-- name: is_waiting
-- Whether the share of a run that is to be made has one that waits already.
select exists (
    select from langyard.runs r
    where r.status = 'pending' and langyard.share_of(r.fairness_group, r.user_id, r.assistant_id, r.graph_id)
        = langyard.share_of(%(fairness_group)s::text, %(user_id)s::text, %(assistant_id)s::uuid, %(graph_id)s)
) as waiting;

-- name: queue
-- For those who watch: about once a second a process, however many ask. Read from indexes of open runs alone.
select count(*) as pending,
    (select count(*) from langyard.runs where status = 'running') as running,
    extract(epoch from max(now() - available_at))::float8 as oldest_wait_s,
    extract(epoch from percentile_cont(0.5) within group (order by now() - available_at))::float8 as median_wait_s,
    extract(epoch from max(now() - available_at) filter (where ready))::float8 as oldest_unblocked_wait_s,
    (select coalesce(jsonb_object_agg(g.graph_id, jsonb_build_array(g.pending, g.running, g.oldest_wait_s)), '{}') from (
        select r.graph_id, count(*) filter (where r.status = 'pending') as pending,
            count(*) filter (where r.status = 'running') as running,
            extract(epoch from max(now() - r.available_at) filter (where r.status = 'pending'))::float8 as oldest_wait_s
        from langyard.runs r where r.status in ('pending', 'running') and r.available_at <= now() group by r.graph_id
    ) as g) as graphs
from langyard.runs where status = 'pending' and available_at <= now();
