-- name: dead_letters_page
-- One page of dead letters, newest first. Keyset: the page after (after_received_at, after_id).
-- A page ends early where its payloads would be over most_bytes, but holds at least one;
-- "found" counts them before that, so that the caller knows whether more follow. The length of
-- a payload is read without the payload.
SELECT page.id, page.received_at, page.last_received_at, page.occurrences, t.slug, page.topic,
       page.client_id, page.reason, page.detail, page.payload, page.replayed_at, page.replays,
       page.found
FROM (
    SELECT e.*, count(*) OVER () AS found,
           sum(octet_length(e.payload)) OVER (ORDER BY e.received_at DESC, e.id DESC) AS bytes,
           row_number() OVER (ORDER BY e.received_at DESC, e.id DESC) AS n
    FROM (
        SELECT i.id, i.received_at, i.last_received_at, i.occurrences, i.tenant_id, i.topic,
               i.client_id, i.reason, i.detail, i.payload, i.replayed_at, i.replays
        FROM public.ingest_errors i
        WHERE (%(tenant_id)s::uuid IS NULL OR i.tenant_id = %(tenant_id)s::uuid)
          AND (%(reason)s::text IS NULL OR i.reason = %(reason)s::text)
          AND (%(topic)s::text IS NULL OR pg_catalog.starts_with(i.topic, %(topic)s::text))
          AND (%(start)s::timestamptz IS NULL OR i.received_at >= %(start)s::timestamptz)
          AND (%(end)s::timestamptz IS NULL OR i.received_at < %(end)s::timestamptz)
          AND (%(after_received_at)s::timestamptz IS NULL
               OR (i.received_at, i.id)
                  < (%(after_received_at)s::timestamptz, %(after_id)s::bigint))
        ORDER BY i.received_at DESC, i.id DESC
        LIMIT %(limit)s + 1
    ) e
) page
LEFT JOIN public.tenants t ON t.id = page.tenant_id
WHERE page.n <= %(limit)s AND (page.n = 1 OR page.bytes <= %(most_bytes)s)
ORDER BY page.received_at DESC, page.id DESC

-- name: letters_by_id
-- Dead letters by id, of one tenant or of all, oldest first.
SELECT i.id, i.topic, i.payload
FROM public.ingest_errors i
WHERE i.id = ANY (%(ids)s::bigint[])
  AND (%(tenant_id)s::uuid IS NULL OR i.tenant_id = %(tenant_id)s::uuid)
ORDER BY i.received_at, i.id

-- name: letters_waiting
-- Dead letters that may be put through again, by topic and size, and never were, oldest first.
SELECT i.id, i.topic, i.payload
FROM public.ingest_errors i
WHERE i.replayed_at IS NULL
  AND i.topic ~ ANY (%(patterns)s::text[])
  AND octet_length(i.payload) <= %(most_bytes)s
  AND (%(tenant_id)s::uuid IS NULL OR i.tenant_id = %(tenant_id)s::uuid)
  AND (%(reason)s::text IS NULL OR i.reason = %(reason)s::text)
  AND (%(topic)s::text IS NULL OR pg_catalog.starts_with(i.topic, %(topic)s::text))
  AND (%(start)s::timestamptz IS NULL OR i.received_at >= %(start)s::timestamptz)
  AND (%(end)s::timestamptz IS NULL OR i.received_at < %(end)s::timestamptz)
ORDER BY i.received_at, i.id
LIMIT %(limit)s

-- name: mark_replayed
-- These were published again. Locked in the order of fingerprints, as
-- ingestion does, which may be counting their next occurrence at this moment.
UPDATE public.ingest_errors i
SET replayed_at = %(at)s, replays = i.replays + 1
FROM (
    SELECT l.id FROM public.ingest_errors l
    WHERE l.id = ANY (%(ids)s::bigint[])
    ORDER BY l.fingerprint
    FOR NO KEY UPDATE
) locked
WHERE i.id = locked.id
