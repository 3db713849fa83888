-- Templates: read in the caller's sight, written by traksense_ops. A lineage is the versions of
-- one code of one owner: a tenant, or nobody (shared). In a tenant's sight a code is one lineage,
-- which a trigger sees to; where no tenant was chosen, a code is the shared one.

-- name: templates_page
-- One page of the newest published version of each lineage, or of its draft where it has nothing
-- else and drafts are in sight, by code and owner: those after (after_code, after_tenant). A
-- published version without a successor is the newest.
SELECT dt.code, dt.version, t.slug, dt.name, dt.vendor, dt.adapter, s.version, p.points,
       dt.published_at, dt.created_at
FROM public.device_templates dt
LEFT JOIN public.tenants t ON t.id = dt.tenant_id
LEFT JOIN public.device_templates s ON s.id = dt.superseded_by
CROSS JOIN LATERAL (
    SELECT count(*) AS points FROM public.point_templates pt WHERE pt.device_template_id = dt.id
) p
WHERE dt.superseded_by IS NULL
  AND (dt.published_at IS NOT NULL
       OR %(drafts)s::boolean AND dt.version = 1)
  AND (dt.code, coalesce(t.slug, '')) > (%(after_code)s::text, %(after_tenant)s::text)
  AND (%(q)s::text IS NULL
       OR pg_catalog.strpos(dt.code, pg_catalog.lower(%(q)s::text)) > 0
       OR pg_catalog.strpos(pg_catalog.lower(dt.name), pg_catalog.lower(%(q)s::text)) > 0)
  AND (%(adapter)s::text IS NULL OR dt.adapter = %(adapter)s::text)
  AND (%(shared)s::boolean IS NULL OR (dt.tenant_id IS NULL) = %(shared)s::boolean)
ORDER BY dt.code, coalesce(t.slug, '')
LIMIT %(limit)s

-- name: template_versions
-- The versions of a code that are older than %(before)s, newest first.
SELECT dt.code, dt.version, t.slug, dt.name, dt.vendor, dt.adapter, s.version, p.points,
       dt.published_at, dt.created_at
FROM public.device_templates dt
LEFT JOIN public.tenants t ON t.id = dt.tenant_id
LEFT JOIN public.device_templates s ON s.id = dt.superseded_by
CROSS JOIN LATERAL (
    SELECT count(*) AS points FROM public.point_templates pt WHERE pt.device_template_id = dt.id
) p
WHERE dt.code = %(code)s AND dt.version < %(before)s
  AND (NOT %(shared_only)s::boolean OR dt.tenant_id IS NULL)
  AND (%(drafts)s::boolean OR dt.published_at IS NOT NULL)
ORDER BY dt.version DESC
LIMIT %(limit)s

-- name: template
-- One version with its points and its dashboard.
SELECT dt.id, dt.code, dt.version, t.slug, s.version, dt.published_at, dt.created_at,
       dt.name, dt.vendor, dt.adapter, extract(epoch FROM dt.offline_after)::integer, dt.keep_raw,
       dt.max_messages_per_minute, dt.dashboard, p.points
FROM public.device_templates dt
LEFT JOIN public.tenants t ON t.id = dt.tenant_id
LEFT JOIN public.device_templates s ON s.id = dt.superseded_by
CROSS JOIN LATERAL (
    SELECT coalesce(pg_catalog.jsonb_agg(pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object(
               'name', pt.name, 'type', pt.type, 'labels', pt.labels, 'unit', pt.unit,
               'enum_values', pt.enum_values, 'polarity', pt.polarity,
               'hysteresis', pt.hysteresis, 'limits', pt.limits
           )) ORDER BY pt.position), '[]') AS points
    FROM public.point_templates pt
    WHERE pt.device_template_id = dt.id
) p
WHERE dt.code = %(code)s AND dt.version = %(version)s
  AND (NOT %(shared_only)s::boolean OR dt.tenant_id IS NULL)
  AND (%(drafts)s::boolean OR dt.published_at IS NOT NULL)

-- name: add_template
-- The first version of a code, as a draft. A code that is taken is a unique_violation.
INSERT INTO public.device_templates
    (tenant_id, code, version, name, vendor, adapter, offline_after, keep_raw,
     max_messages_per_minute, dashboard)
VALUES (%(owner)s, %(code)s, 1, %(name)s, %(vendor)s, %(adapter)s,
        pg_catalog.make_interval(secs => %(offline_after_s)s), %(keep_raw)s,
        %(max_messages_per_minute)s, %(dashboard)s)
RETURNING id, version

-- name: add_version
-- The version after the newest published one, as a draft; no row where that is not %(based_on)s
-- (NULL: whichever). Two at once take the same number, and one draft at a time is all that a
-- lineage has: either is a unique_violation.
INSERT INTO public.device_templates
    (tenant_id, code, version, name, vendor, adapter, offline_after, keep_raw,
     max_messages_per_minute, dashboard)
SELECT dt.tenant_id, dt.code, dt.version + 1, %(name)s, %(vendor)s, %(adapter)s,
       pg_catalog.make_interval(secs => %(offline_after_s)s), %(keep_raw)s,
       %(max_messages_per_minute)s, %(dashboard)s
FROM public.device_templates dt
WHERE dt.code = %(code)s AND dt.tenant_id IS NOT DISTINCT FROM %(owner)s::uuid
  AND dt.published_at IS NOT NULL AND dt.superseded_by IS NULL
  AND (%(based_on)s::integer IS NULL OR dt.version = %(based_on)s::integer)
RETURNING id, version

-- name: replace_draft
-- What a draft says, but for its points, said anew; no row where there is no such draft.
UPDATE public.device_templates dt
SET name = %(name)s, vendor = %(vendor)s, adapter = %(adapter)s,
    offline_after = pg_catalog.make_interval(secs => %(offline_after_s)s),
    keep_raw = %(keep_raw)s, max_messages_per_minute = %(max_messages_per_minute)s,
    dashboard = %(dashboard)s
WHERE dt.code = %(code)s AND dt.version = %(version)s
  AND dt.tenant_id IS NOT DISTINCT FROM %(owner)s::uuid AND dt.published_at IS NULL
RETURNING dt.id, dt.version

-- name: lock_draft
-- A draft, held until the transaction ends; no row where there is no such draft.
SELECT dt.id
FROM public.device_templates dt
WHERE dt.code = %(code)s AND dt.version = %(version)s
  AND dt.tenant_id IS NOT DISTINCT FROM %(owner)s::uuid AND dt.published_at IS NULL
FOR UPDATE

-- name: remove_points
-- Takes a draft's points away.
DELETE FROM public.point_templates pt WHERE pt.device_template_id = %(template_id)s

-- name: remove_draft
-- Takes a draft away that has no points any more.
DELETE FROM public.device_templates dt WHERE dt.id = %(template_id)s AND dt.published_at IS NULL

-- name: add_points
-- A draft's points, in their order. %(points)s: [{name, type, labels, unit, enum_values, polarity,
-- hysteresis, limits}].
INSERT INTO public.point_templates
    (tenant_id, device_template_id, position, name, labels, type, unit, enum_values, limits,
     polarity, hysteresis)
SELECT dt.tenant_id, dt.id, p.position - 1, p.point ->> 'name',
       coalesce(p.point -> 'labels', '{}'), p.point ->> 'type', p.point ->> 'unit',
       CASE WHEN p.point ? 'enum_values'
            THEN ARRAY(SELECT pg_catalog.jsonb_array_elements_text(p.point -> 'enum_values')) END,
       p.point -> 'limits', p.point ->> 'polarity',
       (p.point ->> 'hysteresis')::double precision
FROM public.device_templates dt
CROSS JOIN pg_catalog.jsonb_array_elements(%(points)s::jsonb)
    WITH ORDINALITY AS p (point, position)
WHERE dt.id = %(template_id)s

-- name: publish
-- Publishes a draft; no row where there is no such draft, or somebody published it meanwhile.
UPDATE public.device_templates dt
SET published_at = pg_catalog.now()
WHERE dt.code = %(code)s AND dt.version = %(version)s
  AND dt.tenant_id IS NOT DISTINCT FROM %(owner)s::uuid AND dt.published_at IS NULL
RETURNING dt.id

-- name: supersede
-- The version that was the newest is superseded by the one that was just published.
UPDATE public.device_templates dt
SET superseded_by = %(template_id)s
WHERE dt.code = %(code)s AND dt.version < %(version)s
  AND dt.tenant_id IS NOT DISTINCT FROM %(owner)s::uuid
  AND dt.published_at IS NOT NULL AND dt.superseded_by IS NULL

-- name: lineage
-- The newest version of a code of this owner, whether it is published, and whether a shared
-- template has the code: why a change found nothing to change.
SELECT max(dt.version) FILTER (WHERE dt.tenant_id IS NOT DISTINCT FROM %(owner)s::uuid),
       max(dt.version) FILTER (WHERE dt.tenant_id IS NOT DISTINCT FROM %(owner)s::uuid
                                 AND dt.published_at IS NOT NULL),
       coalesce(bool_or(dt.tenant_id IS NULL), false)
FROM public.device_templates dt
WHERE dt.code = %(code)s
