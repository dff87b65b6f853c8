-- Rules that make runs. The next firing is a column of the rule, taken and moved on in the transaction that inserts the
-- run: whoever else looks at the same slot finds it gone.
create table langyard.crons (
    cron_id uuid primary key,
    assistant_id uuid not null references langyard.assistants on delete cascade,
    thread_id uuid references langyard.threads on delete cascade,
    user_id text not null default '',
    schedule text not null,
    timezone text,
    end_time timestamptz,
    payload json not null,
    metadata jsonb not null default '{}',
    on_run_completed text check (on_run_completed in ('delete', 'keep')),
    enabled boolean not null default true,
    next_run_date timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
create index crons_due_idx on langyard.crons (next_run_date) where enabled and next_run_date is not null;
create index crons_next_idx on langyard.crons (next_run_date, cron_id);
create index crons_created_idx on langyard.crons (created_at desc, cron_id desc);
create index crons_updated_idx on langyard.crons (updated_at desc, cron_id desc);
create index crons_end_idx on langyard.crons (end_time, cron_id);
create index crons_assistant_idx on langyard.crons (assistant_id, cron_id);
create index crons_thread_idx on langyard.crons (thread_id, cron_id);
create index crons_metadata_idx on langyard.crons using gin (metadata jsonb_path_ops);
