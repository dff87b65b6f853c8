-- The pending writes of another run's checkpoint, as they were before this run wrote to it: what a rollback puts back. A
-- run that goes on from an interrupt writes its first results to the checkpoint it was interrupted at. A row without a
-- channel says that there is such a checkpoint.
create table langyard.run_bases (
    run_id uuid not null references langyard.runs on delete cascade,
    checkpoint_ns text not null,
    checkpoint_id text not null,
    task_id text not null,
    idx integer not null,
    channel text,
    type text,
    blob bytea,
    task_path text not null default '',
    primary key (run_id, checkpoint_ns, checkpoint_id, task_id, idx)
);

-- Whether the thread waits for somebody, as its last run left it: what it is again when a later run goes without a trace.
alter table langyard.threads add column waiting boolean not null default false;
update langyard.threads set waiting = true where status = 'interrupted';
