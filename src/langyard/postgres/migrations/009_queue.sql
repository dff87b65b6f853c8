-- The queue's order. `ready` runs are those a claim looks at: due and, as far as is known, the first of their thread.
-- `turn` is their place: each share (a user, a fairness group, an assistant) has one run in a turn, and a step of
-- priority is worth 20 turns. 0 is none yet; whoever is claimed at its insertion never needs one, and goes first when
-- it is given back.
alter table langyard.runs add column ready boolean not null default true;
alter table langyard.runs add column turn bigint not null default 0;
alter table langyard.runs add column fairness_group text;
update langyard.runs set priority = least(5, greatest(-5, priority)) where priority not between -5 and 5;
alter table langyard.runs add constraint runs_priority_check check (priority between -5 and 5);
-- What the project's Priority object has said of a thread; its runs then have it.
alter table langyard.threads add column priority smallint check (priority between -5 and 5);
alter table langyard.threads add column fairness_group text;
-- Ended runs of the last minute tell how fast the queue drains; each worker counts its own.
alter table langyard.workers add column ended bigint not null default 0;

-- A run is kept as long as somebody may come with the key it stands for.
create index idempotency_keys_run_idx on langyard.idempotency_keys (run_id);

create function langyard.share_of(fairness_group text, user_id text, assistant_id uuid, graph_id text) returns text
language sql immutable parallel safe
return coalesce('=' || fairness_group, '@' || user_id, assistant_id::text, graph_id);

drop index langyard.runs_pending_idx;
create index runs_queue_idx on langyard.runs (graph_id, turn, run_id) where status = 'pending' and ready;
create index runs_queue_user_idx on langyard.runs (graph_id, user_id, turn, run_id) where status = 'pending' and ready;
create index runs_share_idx on langyard.runs (
    langyard.share_of(fairness_group, user_id, assistant_id, graph_id), priority, turn) where status = 'pending';
create index runs_clock_idx on langyard.runs (graph_id, (turn - 20 * priority)) where status = 'running' and turn > 0;
create index runs_later_idx on langyard.runs (available_at) where status = 'pending' and not ready and turn = 0;
create index runs_behind_idx on langyard.runs (thread_id, created_at, run_id)
    where status = 'pending' and not ready and turn > 0;
update langyard.runs set turn = 1001 where status = 'pending';

-- The place of one more run. The clock is the latest turn that has begun, on any graph of the workers that serve this
-- one, so that they can be compared; priority is taken off it. Behind whatever of its share is as urgent or more.
create function langyard.turn_of(graph text, share text, urgency integer) returns bigint language plpgsql as $$
declare
    clock bigint;
    head bigint;
    last bigint;
    place bigint;
begin
    select max(c.clock) into clock
    from (select distinct unnest(w.graphs) as graph_id from langyard.workers w where graph = any(w.graphs)) as g
    cross join lateral (
        select r.turn - 20 * r.priority as clock from langyard.runs r
        where r.status = 'running' and r.turn > 0 and r.graph_id = g.graph_id
        order by r.turn - 20 * r.priority desc limit 1
    ) as c;
    select r.turn - 20 * r.priority - 1 into head from langyard.runs r
    where r.status = 'pending' and r.ready and r.graph_id = graph order by r.turn, r.run_id limit 1;
    select max(l.turn) into last
    from generate_series(-5, urgency) as p(priority)
    cross join lateral (
        select r.turn from langyard.runs r
        where r.status = 'pending' and r.priority = p.priority::smallint
            and langyard.share_of(r.fairness_group, r.user_id, r.assistant_id, r.graph_id) = share
        order by r.priority desc, r.turn desc limit 1
    ) as l;
    place := greatest(greatest(clock, head, 1000) + 20 * urgency, last) + 1;
    -- Others of the share may be on their way at this moment, unseen: each holds its place until it is stored, and who
    -- gets the lock after that sees it. Nobody waits.
    loop
        if pg_try_advisory_xact_lock(hashtextextended(share, place)) then
            -- A statement of its own, whose snapshot is younger than the lock.
            perform from langyard.runs r
            where r.status = 'pending' and r.priority = urgency::smallint and r.turn = place
                and langyard.share_of(r.fairness_group, r.user_id, r.assistant_id, r.graph_id) = share;
            exit when not found;
        end if;
        place := place + 1;
    end loop;
    return place;
end $$;

-- A run that ends lets the next of its thread into the queue. One that is held by somebody else at this moment is left
-- to `heal`: to wait for it here could be to wait for each other.
create function langyard.let_in() returns trigger language plpgsql as $$
begin
    update langyard.runs set ready = true where run_id = (
        select r.run_id from langyard.runs r
        where r.thread_id = new.thread_id and r.status = 'pending' and not r.ready and r.turn > 0
        order by r.created_at, r.run_id limit 1 for update skip locked
    );
    return null;
end $$;
create trigger threads_let_in after update of open_runs on langyard.threads
    for each row when (new.open_runs < old.open_runs and new.open_runs > 0) execute function langyard.let_in();

-- Whether one more run of a graph, and of a user, may run now. The locks are held until the run is stored; who does not
-- get one at once is told no, and finds the queue.
create function langyard.has_room(graph text, graph_cap integer, asker text, user_cap integer) returns boolean
language plpgsql as $$
declare
    running bigint;
begin
    if graph_cap is not null then
        if not pg_try_advisory_xact_lock(7301, hashtext(graph)) then
            return false;
        end if;
        -- Counted by a statement of its own, whose snapshot is younger than the lock.
        select count(*) into running from langyard.runs r where r.status = 'running' and r.graph_id = graph;
        if running >= graph_cap then
            return false;
        end if;
    end if;
    if user_cap is not null and asker is not null then
        if not pg_try_advisory_xact_lock(7302, hashtext(asker)) then
            return false;
        end if;
        select count(*) into running from langyard.runs r where r.status = 'running' and r.user_id = asker;
        if running >= user_cap then
            return false;
        end if;
    end if;
    return true;
end $$;

-- Up to `slots` runs that may be claimed within the caps, locked. Each statement here sees what was committed before it
-- began, so what is counted after a lock is taken is what there is. `caps` goes with `graphs`, null for none.
create function langyard.within_caps(graphs text[], caps integer[], user_cap integer, slots integer) returns setof uuid
language plpgsql as $$
declare
    lane record;
    one record;
    rooms jsonb := '{}';
    users jsonb := '{}';
    held uuid;
    found_here integer := 0;
begin
    for lane in select g.graph_id, g.cap from unnest(graphs, caps) as g(graph_id, cap) order by g.graph_id loop
        if lane.cap is not null then
            perform pg_advisory_xact_lock(7301, hashtext(lane.graph_id));
            rooms := rooms || jsonb_build_object(lane.graph_id, lane.cap - (
                select count(*) from langyard.runs r where r.status = 'running' and r.graph_id = lane.graph_id));
        end if;
    end loop;
    for one in select * from langyard.queued(graphs, rooms, user_cap, slots) loop
        continue when rooms ? one.graph_id and (rooms ->> one.graph_id)::integer <= 0;
        if user_cap is not null and one.user_id is not null then
            if not users ? one.user_id then
                users := users || jsonb_build_object(one.user_id, case
                    when pg_try_advisory_xact_lock(7302, hashtext(one.user_id)) then user_cap else 0 end);
                if (users ->> one.user_id)::integer > 0 then
                    users := users || jsonb_build_object(one.user_id, user_cap - (
                        select count(*) from langyard.runs r where r.status = 'running' and r.user_id = one.user_id));
                end if;
            end if;
            continue when (users ->> one.user_id)::integer <= 0;
        end if;
        select r.run_id into held from langyard.runs r
        where r.run_id = one.run_id and r.status = 'pending' for update skip locked;
        continue when not found;
        if rooms ? one.graph_id then
            rooms := rooms || jsonb_build_object(one.graph_id, (rooms ->> one.graph_id)::integer - 1);
        end if;
        if users ? one.user_id then
            users := users || jsonb_build_object(one.user_id, (users ->> one.user_id)::integer - 1);
        end if;
        return next held;
        found_here := found_here + 1;
        exit when found_here = slots;
    end loop;
end $$;

-- What may be claimed next, by turn, more than is asked for since some of it may be taken meanwhile: of each graph, or
-- with a cap on users of each user on each graph, found by steps from one to the next.
create function langyard.queued(graphs text[], rooms jsonb, user_cap integer, slots integer)
returns table (graph_id text, user_id text, run_id uuid) language plpgsql as $$
begin
    if user_cap is null then
        return query
        select c.graph_id, c.user_id, c.run_id
        from unnest(graphs) as g(graph_id)
        cross join lateral (
            select r.graph_id, r.user_id, r.run_id, r.turn from langyard.runs r
            where r.status = 'pending' and r.ready and r.graph_id = g.graph_id and r.available_at <= now()
                and langyard.is_first(r.thread_id, r.run_id, r.created_at)
            order by r.turn, r.run_id limit 4 * slots
        ) as c
        where coalesce((rooms ->> g.graph_id)::integer, 1) > 0
        order by c.turn, c.run_id;
    else
        return query
        with recursive asker as (
            select g.graph_id, (
                select r.user_id from langyard.runs r
                where r.status = 'pending' and r.ready and r.graph_id = g.graph_id and r.user_id is not null
                order by r.user_id limit 1) as user_id
            from unnest(graphs) as g(graph_id)
            where coalesce((rooms ->> g.graph_id)::integer, 1) > 0
            union all
            select a.graph_id, (
                select r.user_id from langyard.runs r
                where r.status = 'pending' and r.ready and r.graph_id = a.graph_id and r.user_id > a.user_id
                order by r.user_id limit 1)
            from asker a where a.user_id is not null
        )
        select c.graph_id, c.user_id, c.run_id
        from asker a
        cross join lateral (
            (select r.graph_id, r.user_id, r.run_id, r.turn from langyard.runs r
            where r.status = 'pending' and r.ready and r.graph_id = a.graph_id and r.user_id = a.user_id
                and r.available_at <= now() and langyard.is_first(r.thread_id, r.run_id, r.created_at)
            order by r.turn, r.run_id limit least(slots, user_cap) + 4)
            union all
            -- The walk over the users of a graph ends with nobody: those are the runs without one.
            (select r.graph_id, r.user_id, r.run_id, r.turn from langyard.runs r
            where a.user_id is null and r.status = 'pending' and r.ready and r.graph_id = a.graph_id
                and r.user_id is null and r.available_at <= now()
                and langyard.is_first(r.thread_id, r.run_id, r.created_at)
            order by r.turn, r.run_id limit 4 * slots)
        ) as c
        order by c.turn, c.run_id;
    end if;
end $$;

create function langyard.is_first(thread uuid, run uuid, since timestamptz) returns boolean language sql stable
return not exists (
    select from langyard.runs o
    where o.thread_id = thread and o.status in ('pending', 'running') and o.run_id <> run
        and (o.status = 'running' or (o.created_at, o.run_id) < (since, run)));
