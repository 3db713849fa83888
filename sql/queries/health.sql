-- name: server_version
-- Whether the database answers, and what it is.
SELECT pg_catalog.current_setting('server_version')

-- name: storage
-- The storage engine by what readings are stored in, and whether today's readings have a place.
SELECT CASE c.relkind WHEN 'p' THEN 'plain' ELSE 'timescale' END,
       c.relkind <> 'p' OR pg_catalog.to_regclass(
           'public.m_raw_' || pg_catalog.to_char(pg_catalog.now() AT TIME ZONE 'UTC', 'YYYYMMDD')
       ) IS NOT NULL
FROM pg_catalog.pg_class c
WHERE c.oid = pg_catalog.to_regclass('public.m_raw')
