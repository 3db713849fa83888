-- Long work of a release, and how far it is.

-- name: is_there
-- Whether this database knows of such work.
SELECT pg_catalog.to_regclass('public.release_jobs') IS NOT NULL;

-- name: is_unused
-- Whether no tenant has anything here yet.
SELECT NOT EXISTS (SELECT FROM public.tenants);

-- name: register
-- A job of this release; a second time changes nothing. %(rows)s: the most of a slice.
INSERT INTO public.release_jobs (number, name, slice_rows)
VALUES (%(number)s, %(name)s, %(rows)s)
ON CONFLICT (number) DO NOTHING;

-- name: list
-- Every job that any release registered, in order.
SELECT j.number, j.name, j.registered_at, j.started_at, j.finished_at, j.checksum, j.slices, j.rows,
       j.failures, j.error_code, j.error, j.next_try_at
FROM public.release_jobs j
ORDER BY j.number;

-- name: take
-- Where the next slice begins and how many rows it has, for whoever does it alone: no row where the
-- job is finished, or somebody else is at it.
SELECT j.position, j.slice_rows
FROM public.release_jobs j
WHERE j.number = %(number)s AND j.finished_at IS NULL
FOR UPDATE SKIP LOCKED;

-- name: advance
-- A slice is done. %(checksum)s: of the job's text, where it was the last one.
UPDATE public.release_jobs j
SET position = %(position)s,
    slice_rows = %(slice_rows)s,
    slices = j.slices + 1,
    rows = j.rows + %(rows)s,
    started_at = coalesce(j.started_at, pg_catalog.now()),
    finished_at = CASE WHEN %(checksum)s::text IS NOT NULL THEN pg_catalog.clock_timestamp() END,
    checksum = %(checksum)s,
    failures = 0, error_code = NULL, error = NULL, next_try_at = NULL
WHERE j.number = %(number)s;

-- name: fail
-- A slice was undone. It is tried again after a minute, and after one more each time, up to five. One
-- that took too long is tried with a quarter of its rows.
UPDATE public.release_jobs j
SET failures = j.failures + 1,
    error_code = %(code)s,
    error = %(error)s,
    started_at = coalesce(j.started_at, pg_catalog.now()),
    slice_rows = CASE WHEN %(too_long)s THEN greatest(1, j.slice_rows / 4) ELSE j.slice_rows END,
    next_try_at = pg_catalog.now() + least(j.failures + 1, 5) * interval '1 minute'
WHERE j.number = %(number)s AND j.finished_at IS NULL;

-- name: wait_idle
-- This transaction may do nothing for as long as a statement beside it takes.
SELECT pg_catalog.set_config('idle_in_transaction_session_timeout', '0', true);
