-- What stands in more than one statement as {name}: parts of a `with`
-- that go on from what is named before them.

-- name: stopped
-- Of the runs in `chosen`, those that nobody has begun (`unbegun`) end; the others are told to stop.
dropped as (
    delete from langyard.runs r using chosen
    where r.run_id = chosen.run_id and chosen.unbegun and %(action)s = 'rollback'
), stopped as (
    update langyard.runs r set
        status = case when chosen.unbegun then 'interrupted' else r.status end,
        finished_at = case when chosen.unbegun then now() end,
        -- One that waits to be tried again is settled now.
        available_at = case when r.status = 'pending' and not chosen.unbegun then now() else r.available_at end,
        ready = r.ready or (r.status = 'pending' and not chosen.unbegun),
        cancel_action = %(action)s, cancel_reason = %(reason)s, updated_at = now()
    from chosen where r.run_id = chosen.run_id and not (chosen.unbegun and %(action)s = 'rollback')
)

-- name: left_behind
-- What a run that is `gone` leaves besides its checkpoints in `dropped`: their writes and values, its events,
-- its effects.
writes as (
    delete from checkpoint_writes w using dropped d
    where w.thread_id = d.thread_id and w.checkpoint_ns = d.checkpoint_ns and w.checkpoint_id = d.checkpoint_id
), made as (
    -- Values that only its own checkpoints name.
    select distinct d.thread_id, d.checkpoint_ns, v.key as channel, v.value as version
    from dropped d, jsonb_each_text(d.versions) as v
    except
    select k.thread_id, k.checkpoint_ns, v.key, v.value
    from gone join checkpoints k on k.thread_id = gone.thread_id::text, jsonb_each_text(k.checkpoint -> 'channel_versions') as v
    where k.metadata ->> 'run_id' is distinct from gone.run_id::text
), blobs as (
    delete from checkpoint_blobs b using made m
    where b.thread_id = m.thread_id and b.checkpoint_ns = m.checkpoint_ns and b.channel = m.channel and b.version = m.version
), events as (
    delete from langyard.events e using gone where e.run_id = gone.run_id
), effects as (
    delete from langyard.effects e using gone where e.run_id = gone.run_id
)

-- name: given_up
-- The threads of the runs in `taken` that are not tried again.
freed as (
    update langyard.threads t set
        open_runs = t.open_runs - 1, revision = t.revision + 1, error = taken.error, updated_at = now(),
        status = case when t.open_runs > 1 then 'busy' else 'error' end
    from taken where t.thread_id = taken.thread_id and taken.status <> 'pending'
)

-- name: head
-- A checkpoint of the root of `thread`, with all its values and pending writes; what is asked of it besides, and the order, follow.
select c.checkpoint_id, c.parent_checkpoint_id, c.checkpoint, c.metadata as checkpoint_metadata,
    -- Each by its key (offset 0): a join may read all that the thread ever had, in a plan made while it was short.
    (select array_agg(array[b.channel::bytea, b.type::bytea, b.blob])
     from jsonb_each_text(c.checkpoint -> 'channel_versions') as v, lateral (
         select k.channel, k.type, k.blob from checkpoint_blobs k
         where k.thread_id = c.thread_id and k.checkpoint_ns = c.checkpoint_ns and k.channel = v.key
             and k.version = v.value
         offset 0
     ) as b) as channel_values,
    (select array_agg(array[w.task_id::bytea, w.channel::bytea, w.type::bytea, w.blob,
            convert_to(w.task_path, 'UTF8'), w.idx::text::bytea])
     -- The order is the key's, so that the key it is.
     from (
         select k.* from checkpoint_writes k
         where k.thread_id = c.thread_id and k.checkpoint_ns = c.checkpoint_ns and k.checkpoint_id = c.checkpoint_id
         order by k.task_id, k.idx
     ) as w) as pending_writes
from checkpoints c
where c.thread_id = thread.thread_id::text and c.checkpoint_ns = ''
