-- A thread as it is at this moment, by a statement of its own: the one that asks may have begun, and read the thread and
-- its checkpoint, long before it got what it claims.
create function langyard.revision_of(thread uuid) returns bigint language plpgsql as $$
begin
    return (select t.revision from langyard.threads t where t.thread_id = thread);
end $$;

create function langyard.config_of(thread uuid) returns jsonb language plpgsql as $$
begin
    return (select t.config from langyard.threads t where t.thread_id = thread);
end $$;
