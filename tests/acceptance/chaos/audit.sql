-- The harness's own witness: triggers that note who owned which run when, and every checkpoint written for a run by
-- somebody who did not own it any more.
create schema chaos;

create table chaos.ownership (
    id bigint generated always as identity primary key,
    run_id uuid not null, thread_id uuid not null, status text not null, fence bigint not null, attempt integer not null,
    worker_id uuid, pid integer, at timestamptz not null default clock_timestamp()
);

create function chaos.note() returns trigger language plpgsql as $$
begin
    if tg_op = 'DELETE' then
        insert into chaos.ownership (run_id, thread_id, status, fence, attempt)
        values (old.run_id, old.thread_id, 'deleted', old.fence, old.attempt);
    elsif tg_op = 'INSERT' or (old.status, old.fence) is distinct from (new.status, new.fence) then
        insert into chaos.ownership (run_id, thread_id, status, fence, attempt, worker_id, pid)
        values (new.run_id, new.thread_id, new.status, new.fence, new.attempt, new.worker_id,
            (select w.pid from langyard.workers w where w.worker_id = new.worker_id));
    end if;
    return null;
end $$;
create trigger chaos_note after insert or update or delete on langyard.runs for each row execute function chaos.note();

create table chaos.strays (
    run_id text not null, thread_id text not null, attempt text, checkpoint_id text not null, owner text not null,
    at timestamptz not null default clock_timestamp()
);

create function chaos.watch() returns trigger language plpgsql as $$
declare r langyard.runs;
begin
    if new.metadata ->> 'run_id' is null then return null; end if;
    -- A batch whose answer was lost with its connection is sent again: it changes nothing.
    if tg_op = 'UPDATE' and (old.checkpoint, old.metadata) is not distinct from (new.checkpoint, new.metadata) then
        return null;
    end if;
    select * into r from langyard.runs where run_id = (new.metadata ->> 'run_id')::uuid;
    -- The statement that ends a run may carry its last checkpoint: it owned the run until then.
    if r.run_id is null or r.attempt <> (new.metadata ->> 'run_attempt')::int
        or (r.status <> 'running' and not exists (
            select from langyard.runs x where x.run_id = r.run_id and x.xmin::text = pg_current_xact_id()::text)) then
        insert into chaos.strays (run_id, thread_id, attempt, checkpoint_id, owner)
        values (new.metadata ->> 'run_id', new.thread_id, new.metadata ->> 'run_attempt', new.checkpoint_id,
            coalesce(r.status || ', attempt ' || r.attempt, 'no such run'));
    end if;
    return null;
end $$;
create trigger chaos_watch after insert or update on checkpoints for each row execute function chaos.watch();
