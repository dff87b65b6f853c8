"""The only room that speaks SQL: pool, embedded server, migrations, one SQL file per noun. Everything above calls it."""
