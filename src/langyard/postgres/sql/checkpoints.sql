-- name: delete_thread
with c as (delete from checkpoints where thread_id = any(%(thread_ids)s)),
    b as (delete from checkpoint_blobs where thread_id = any(%(thread_ids)s))
delete from checkpoint_writes where thread_id = any(%(thread_ids)s);

-- name: delete_for_runs
with gone as (
    delete from checkpoints where metadata ->> 'run_id' = any(%(run_ids)s)
    returning thread_id, checkpoint_ns, checkpoint_id
)
delete from checkpoint_writes w using gone
where w.thread_id = gone.thread_id and w.checkpoint_ns = gone.checkpoint_ns and w.checkpoint_id = gone.checkpoint_id;

-- name: copied
-- Part of a statement that copies a thread, as far as it says that there is one.
c as (
    insert into checkpoints (thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id, type, checkpoint, metadata)
    select %(target)s::text, checkpoint_ns, checkpoint_id, parent_checkpoint_id, type, checkpoint,
        case when metadata ? 'thread_id' then metadata || jsonb_build_object('thread_id', %(target)s::text) else metadata end
    from checkpoints where thread_id = %(source)s::text and {made}
    on conflict do nothing
), b as (
    insert into checkpoint_blobs (thread_id, checkpoint_ns, channel, version, type, blob)
    select %(target)s::text, checkpoint_ns, channel, version, type, blob
    from checkpoint_blobs where thread_id = %(source)s::text and {made}
    on conflict do nothing
), w as (
    insert into checkpoint_writes (thread_id, checkpoint_ns, checkpoint_id, task_id, task_path, idx, channel, type, blob)
    select %(target)s::text, checkpoint_ns, checkpoint_id, task_id, task_path, idx, channel, type, blob
    from checkpoint_writes where thread_id = %(source)s::text and {made}
    on conflict do nothing
)

-- name: copy_thread
with {copied} select;
