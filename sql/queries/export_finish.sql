-- name: export_to_finish
-- An export whose chunks are to be joined, or whose file an earlier try of this attempt finished.
SELECT e.device_id, e.point_ids, e.range_from, e.range_to, e.agg, e.format, e.for_spreadsheet,
       e.locale, e.time_zone,
       t.slug, e.device_name, CASE WHEN e.status = 'COMPLETED' THEN e.file_key END
FROM public.exports e
JOIN public.tenants t ON t.id = e.tenant_id
WHERE e.id = %(export_id)s AND e.attempt = %(attempt)s AND e.status IN ('PROCESSING', 'COMPLETED');

-- name: chunks_to_join
-- The chunks of an attempt, in the order of the file.
SELECT c.number, c.row_count, c.byte_count, c.sha256, c.crc32, c.staging_key
FROM public.export_chunks c
WHERE c.export_id = %(export_id)s AND c.attempt = %(attempt)s
ORDER BY c.number;

-- name: complete_export
-- An export is done, if it still runs with this attempt.
UPDATE public.exports e
SET status = 'COMPLETED', finished_at = now(), expires_at = now() + %(keep)s,
    record_count = %(record_count)s, file_size = %(file_size)s, file_key = %(file_key)s,
    file_name = %(file_name)s, sha256 = %(sha256)s, crc32 = %(crc32)s
WHERE e.id = %(export_id)s AND e.attempt = %(attempt)s AND e.status = 'PROCESSING'
RETURNING e.id;

-- name: fail_export
-- An export failed, if it still runs with this attempt.
UPDATE public.exports e
SET status = 'FAILED', finished_at = now(), error = %(error)s
WHERE e.id = %(export_id)s AND e.attempt = %(attempt)s AND e.status IN ('PENDING', 'PROCESSING')
RETURNING e.id;

-- name: standing_export
-- What an export is at, whichever attempt has it.
SELECT e.status, e.attempt, e.file_key FROM public.exports e WHERE e.id = %(export_id)s;
