-- name: expire_exports
-- Finished exports whose time is over are expired.
WITH due AS (
    SELECT e.id FROM public.exports e
    WHERE e.status = 'COMPLETED' AND e.expires_at <= now()
    ORDER BY e.expires_at
    LIMIT %(most)s
    FOR UPDATE SKIP LOCKED
)
UPDATE public.exports e SET status = 'EXPIRED'
FROM due d WHERE e.id = d.id
RETURNING e.tenant_id, e.id, e.attempt;

-- name: running_exports
-- Exports that have not ended yet, the oldest first.
SELECT e.tenant_id, e.id, e.attempt FROM public.exports e
WHERE e.status IN ('PENDING', 'PROCESSING') AND e.created_at < now() - %(older_than)s
ORDER BY e.created_at, e.id
LIMIT %(most)s;

-- name: begin_export_again
-- Another attempt of an export whose execution is lost.
UPDATE public.exports e SET attempt = e.attempt + 1
WHERE e.id = %(export_id)s AND e.attempt = %(attempt)s AND e.status IN ('PENDING', 'PROCESSING')
RETURNING e.tenant_id, e.id, e.attempt;

-- name: fail_lost_export
-- An export failed without its execution having said so.
UPDATE public.exports e SET status = 'FAILED', finished_at = now(), error = %(error)s
WHERE e.id = %(export_id)s AND e.attempt = %(attempt)s AND e.status IN ('PENDING', 'PROCESSING')
RETURNING e.id;

-- name: unmailed_exports
-- Exports that ended a while ago, but not long ago, and nobody was told, or could be.
SELECT e.tenant_id, e.id, e.attempt, e.status FROM public.exports e
WHERE e.status IN ('COMPLETED', 'FAILED') AND e.notified_at IS NULL AND e.mail_refused_at IS NULL
  AND e.files_removed_at IS NULL
  AND e.finished_at < now() - %(older_than)s AND e.finished_at > now() - %(told_within)s
ORDER BY e.finished_at
LIMIT %(most)s;

-- name: exports_with_files
-- Exports whose files are to go, when no step of theirs can run any more.
SELECT e.tenant_id, e.id, e.attempt FROM public.exports e
WHERE e.status IN ('FAILED', 'CANCELLED', 'EXPIRED') AND e.files_removed_at IS NULL
  AND e.finished_at < now() - %(ended_before)s
ORDER BY e.finished_at
LIMIT %(most)s;

-- name: note_export_files_removed
-- Nothing lies in the bucket of an export any more.
UPDATE public.exports e SET files_removed_at = now()
WHERE e.id = %(export_id)s AND e.status IN ('FAILED', 'CANCELLED', 'EXPIRED');

-- name: forget_exports
-- Exports that ended long ago, with their chunks and links.
WITH old AS (
    SELECT e.id FROM public.exports e
    WHERE e.files_removed_at IS NOT NULL AND e.finished_at < now() - %(after)s
    LIMIT %(most)s
)
DELETE FROM public.exports e USING old o WHERE e.id = o.id;

-- name: finished_exports
-- Exports that can be downloaded, with their files.
SELECT e.tenant_id, e.id, e.attempt, e.file_key FROM public.exports e
WHERE e.status = 'COMPLETED' AND (%(after)s::uuid IS NULL OR e.id > %(after)s::uuid)
ORDER BY e.id
LIMIT %(most)s;

-- name: lose_export
-- The file of a finished export is gone.
UPDATE public.exports e SET status = 'EXPIRED'
WHERE e.id = %(export_id)s AND e.attempt = %(attempt)s AND e.status = 'COMPLETED'
RETURNING e.id;
