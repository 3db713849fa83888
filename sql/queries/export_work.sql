-- name: check_export
-- Whether an export runs with this attempt.
SELECT EXISTS (
    SELECT FROM public.exports e
    WHERE e.id = %(export_id)s AND e.attempt = %(attempt)s AND e.status = 'PROCESSING'
);

-- name: export_chunk
-- A chunk of a running export, and what was asked for.
SELECT e.device_id, e.point_ids, e.range_from, e.range_to, e.agg, e.format, e.for_spreadsheet,
       e.locale, e.time_zone,
       c.point_ids, c.starts, c.ends, c.planned_rows,
       (SELECT count(*) FROM public.export_chunks o WHERE o.export_id = e.id),
       c.done_at IS NOT NULL
FROM public.exports e
JOIN public.export_chunks c ON c.export_id = e.id AND c.attempt = e.attempt
WHERE e.id = %(export_id)s AND e.attempt = %(attempt)s AND e.status = 'PROCESSING'
  AND c.number = %(number)s;

-- name: note_chunk_progress
-- How far a chunk is; whether its export still runs, and whether the chunk is still to be done.
WITH running AS (
    SELECT e.id FROM public.exports e
    WHERE e.id = %(export_id)s AND e.attempt = %(attempt)s AND e.status = 'PROCESSING'
), noted AS (
    UPDATE public.export_chunks c SET rows_so_far = %(rows)s
    FROM running r
    WHERE c.export_id = r.id AND c.number = %(number)s AND c.attempt = %(attempt)s
      AND c.done_at IS NULL
    RETURNING 1
)
SELECT EXISTS (SELECT FROM running), EXISTS (SELECT FROM noted);

-- name: finish_chunk
-- A chunk is done, by whoever says so first; whether its export still runs, and whether this one was.
-- The export is locked, so that a cancel comes before it or after it.
WITH running AS MATERIALIZED (
    SELECT e.id FROM public.exports e
    WHERE e.id = %(export_id)s AND e.attempt = %(attempt)s AND e.status = 'PROCESSING'
    FOR SHARE
), noted AS (
    UPDATE public.export_chunks c
    SET rows_so_far = %(row_count)s, row_count = %(row_count)s, byte_count = %(byte_count)s,
        sha256 = %(sha256)s, crc32 = %(crc32)s, staging_key = %(staging_key)s, done_at = now()
    FROM running r
    WHERE c.export_id = r.id AND c.number = %(number)s AND c.attempt = %(attempt)s
      -- Its own object, where the statement was sent twice.
      AND (c.done_at IS NULL OR c.staging_key = %(staging_key)s)
    RETURNING 1
)
SELECT EXISTS (SELECT FROM running), EXISTS (SELECT FROM noted);
