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

-- name: release_jobs
-- Long work of releases that is not finished, and how often in a row each failed.
SELECT pg_catalog.to_char(j.number, 'FM0000') || '_' || j.name, j.failures
FROM public.release_jobs j
WHERE j.finished_at IS NULL
ORDER BY j.number
