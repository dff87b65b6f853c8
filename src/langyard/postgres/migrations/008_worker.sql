-- What runs have been through, and what their nodes have done outside.

-- How often a run's worker died under it, how often it was tried again after an error of the infrastructure, and since
-- when it is not tried any more because its workers died.
alter table langyard.runs add column deaths smallint not null default 0;
alter table langyard.runs add column retries smallint not null default 0;
alter table langyard.runs add column quarantined_at timestamptz;
create index runs_quarantined_idx on langyard.runs (quarantined_at, run_id) where quarantined_at is not null;

-- What calls outside have given, by run and key, or by thread and key where `run_id` is null.
create table langyard.effects (
    thread_id uuid not null references langyard.threads on delete cascade,
    run_id uuid,
    key text not null,
    type text not null,
    value bytea not null,
    created_at timestamptz not null default now()
);
create unique index effects_run_idx on langyard.effects (run_id, key) where run_id is not null;
create unique index effects_thread_idx on langyard.effects (thread_id, key) where run_id is null;
create index effects_owner_idx on langyard.effects (thread_id);
