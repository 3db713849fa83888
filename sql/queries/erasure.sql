-- Erasing a tenant. Asked for and looked at by traksense_ops, done by traksense_owner.

-- name: find_tenant_to_erase
-- A tenant by slug, in the sight of all. Run by traksense_ops.
SELECT t.id FROM public.tenants t WHERE t.slug = %(slug)s;

-- name: begin_erasure
-- Buries a tenant and asks for its erasure. Run by traksense_ops.
SELECT public.begin_erasure(%(tenant_id)s);

-- name: erasure_by_slug
-- The erasure of the tenant that had this slug. Run by traksense_ops.
SELECT e.id, e.tenant_id, e.slug, e.step, e.done_to, e.step_since, e.requested_at, e.finished_at,
       e.trouble, e.is_again, e.counts
FROM public.erasures e
WHERE e.slug = %(slug)s;

-- name: claim_erasure
-- The erasure that waited longest and nobody is at work on, ours for so many seconds.
UPDATE public.erasures e
SET claimed_until = pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => %(lease_s)s)
WHERE e.id = (
    SELECT o.id FROM public.erasures o
    WHERE o.finished_at IS NULL
      AND (o.claimed_until IS NULL OR o.claimed_until < pg_catalog.clock_timestamp())
    ORDER BY o.claimed_until NULLS FIRST, o.requested_at
    LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING e.id, e.tenant_id, e.slug, e.step, e.done_to, e.step_since, e.requested_at, e.finished_at,
          e.trouble, e.is_again, e.counts;

-- name: advance_erasure
-- The next step; only by whoever knows which one it was in.
UPDATE public.erasures e
SET step = %(step)s, done_to = NULL, step_since = pg_catalog.clock_timestamp()
WHERE e.id = %(erasure_id)s AND e.step = %(was_step)s AND e.finished_at IS NULL
RETURNING e.step_since;

-- name: note_erasure
-- How far a step is.
UPDATE public.erasures e SET done_to = %(done_to)s
WHERE e.id = %(erasure_id)s AND e.step = %(step)s AND e.finished_at IS NULL;

-- name: count_erased
-- So many more of a kind were deleted in this transaction.
UPDATE public.erasures e
SET counts = e.counts || pg_catalog.jsonb_build_object(
        %(kind)s::text, coalesce((e.counts ->> %(kind)s::text)::bigint, 0) + %(number)s::bigint)
WHERE e.id = %(erasure_id)s;

-- name: release_erasure
-- Lets go of an erasure until the next run, and says what the run could not reach.
UPDATE public.erasures e
SET claimed_until = pg_catalog.clock_timestamp(), trouble = %(trouble)s
WHERE e.id = %(erasure_id)s AND e.finished_at IS NULL;

-- name: list_for_erasure
-- Notes what there is of a tenant; how much was not noted yet.
SELECT public.list_for_erasure(%(erasure_id)s);

-- name: erasure_items
-- The next things of a kind that are left, in order.
SELECT i.key FROM public.erasure_items i
WHERE i.erasure_id = %(erasure_id)s AND i.kind = %(kind)s
  AND (%(after)s::text IS NULL OR i.key > %(after)s::text)
ORDER BY i.key LIMIT %(limit)s;

-- name: drop_erasure_item
-- One thing of a kind is done.
DELETE FROM public.erasure_items i
WHERE i.erasure_id = %(erasure_id)s AND i.kind = %(kind)s AND i.key = %(key)s;

-- name: revoke_erased_certificate
-- A certificate of an erased tenant is off.
UPDATE public.device_certificates c SET status = 'revoked', revoked_at = pg_catalog.now()
WHERE c.certificate_id = %(certificate_id)s AND c.status <> 'revoked';

-- name: telemetry_days
-- UTC days of which telemetry may be stored.
SELECT d.day FROM public.telemetry_days() AS d(day);

-- name: erase_readings
-- A day's readings of some points, in whatever form; how many readings and segments.
SELECT r.readings, r.segments FROM public.erase_readings(%(day)s::date, %(points)s) r;

-- name: erase_rollups
-- Rollups of some points; how many buckets.
SELECT public.erase_rollups(%(points)s);

-- name: erase_messages
-- A day's kept messages of some devices; how many.
SELECT public.erase_messages(%(day)s::date, %(devices)s);

-- name: erase_configuration
-- Rows of a tenant from the next table that has some; which table, how many.
SELECT c.of_table, c.gone FROM public.erase_configuration(%(tenant_id)s, %(most)s) c;

-- name: erase_dead_letters
-- Dead letters of a tenant that is buried; how many.
SELECT public.erase_dead_letters(%(tenant_id)s, %(most)s);

-- name: erasure_leftovers
-- Rows that are still the tenant's.
SELECT public.erasure_leftovers(%(tenant_id)s);

-- name: finish_erasure
-- Ends an erasure: what it had noted goes, the proof stays.
WITH ended AS (
    UPDATE public.erasures e
    SET step = 'done', done_to = NULL, trouble = NULL, claimed_until = NULL,
        step_since = pg_catalog.clock_timestamp(), finished_at = pg_catalog.clock_timestamp()
    WHERE e.id = %(erasure_id)s AND e.finished_at IS NULL
    RETURNING e.*
), forgotten AS (
    DELETE FROM public.erasure_items i USING ended WHERE i.erasure_id = ended.id
), buried AS (
    UPDATE public.tenant_tombstones t SET erased_at = ended.finished_at
    FROM ended WHERE t.tenant_id = ended.tenant_id
)
SELECT e.id, e.tenant_id, e.slug, e.step, e.done_to, e.step_since, e.requested_at, e.finished_at,
       e.trouble, e.is_again, e.counts
FROM ended e;

-- name: bury_again
-- A tenant whose tombstone a restored database does not have: buried as it was, and erased again
-- if the database has it. True: it was not buried here.
WITH buried AS (
    INSERT INTO public.tenant_tombstones (slug, tenant_id, buried_at)
    VALUES (%(slug)s, %(tenant_id)s, %(buried_at)s)
    ON CONFLICT DO NOTHING RETURNING tenant_id
), marked AS (
    UPDATE public.tenants t SET erasing_at = pg_catalog.now()
    FROM buried WHERE t.id = buried.tenant_id
), asked AS (
    INSERT INTO public.erasures (tenant_id, slug, is_again)
    SELECT buried.tenant_id, %(slug)s, true FROM buried
    ON CONFLICT DO NOTHING
)
SELECT EXISTS (SELECT FROM buried);
