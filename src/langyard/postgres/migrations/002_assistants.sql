-- Every order in which assistants can be listed has an index to be read in.

create index assistants_updated_idx on langyard.assistants (updated_at desc);
create index assistants_name_idx on langyard.assistants (name);

-- A tool is called by the name of its assistant as far as the protocol of tools takes it.
create index assistants_tool_idx
    on langyard.assistants (left(regexp_replace(name, '[^A-Za-z0-9_.-]+', '_', 'g'), 128), assistant_id);
