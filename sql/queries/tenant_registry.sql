-- Tenants as operators list, make and change them.

-- name: tenants_page
-- One page of tenants by slug, those after %(after)s. With 1,000 tenants it is an index scan on
-- the slug that ends with the page; a search reads them all, which takes some milliseconds.
SELECT t.id, t.slug, t.name, t.time_zone, t.locale, t.commands_enabled,
       t.max_devices, t.max_users, t.requests_per_minute, t.user_requests_per_minute,
       t.raw_retention_days, t.retention_1m_days, t.retention_5m_days, t.retention_1h_days,
       t.created_at, t.erasing_at
FROM public.tenants t
WHERE t.slug > %(after)s::text
  AND (%(only)s::uuid IS NULL OR t.id = %(only)s::uuid)
  AND (%(q)s::text IS NULL
       OR pg_catalog.strpos(t.slug, pg_catalog.lower(%(q)s::text)) > 0
       OR pg_catalog.strpos(pg_catalog.lower(t.name), pg_catalog.lower(%(q)s::text)) > 0)
ORDER BY t.slug
LIMIT %(limit)s

-- name: tenant_of_slug
-- One tenant by slug, whether it is being erased or not.
SELECT t.id, t.slug, t.name, t.time_zone, t.locale, t.commands_enabled,
       t.max_devices, t.max_users, t.requests_per_minute, t.user_requests_per_minute,
       t.raw_retention_days, t.retention_1m_days, t.retention_5m_days, t.retention_1h_days,
       t.created_at, t.erasing_at
FROM public.tenants t
WHERE t.slug = %(slug)s

-- name: tenant_id_of_slug
-- The id of a tenant by slug, whether it is being erased or not.
SELECT t.id FROM public.tenants t WHERE t.slug = %(slug)s

-- name: add_tenant
-- Adds a tenant; what %(fields)s does not hold gets its default. A slug that is taken, or that a
-- tombstone keeps, is a unique_violation.
INSERT INTO public.tenants AS t
    (slug, name, time_zone, locale, commands_enabled, max_devices, max_users,
     requests_per_minute, user_requests_per_minute,
     raw_retention_days, retention_1m_days, retention_5m_days, retention_1h_days)
SELECT %(slug)s, f.name, coalesce(f.time_zone, 'America/Sao_Paulo'), coalesce(f.locale, 'pt-BR'),
       coalesce(f.commands_enabled, false), f.max_devices, f.max_users,
       f.requests_per_minute, f.user_requests_per_minute,
       f.raw_retention_days, f.retention_1m_days, f.retention_5m_days, f.retention_1h_days
FROM pg_catalog.jsonb_to_record(%(fields)s::jsonb)
     AS f (name text, time_zone text, locale text, commands_enabled boolean,
           max_devices integer, max_users integer,
           requests_per_minute integer, user_requests_per_minute integer,
           raw_retention_days integer, retention_1m_days integer,
           retention_5m_days integer, retention_1h_days integer)
RETURNING t.id, t.slug, t.name, t.time_zone, t.locale, t.commands_enabled,
       t.max_devices, t.max_users, t.requests_per_minute, t.user_requests_per_minute,
       t.raw_retention_days, t.retention_1m_days, t.retention_5m_days, t.retention_1h_days,
       t.created_at, t.erasing_at

-- name: change_tenant
-- Changes what %(fields)s holds, to null too, and leaves the rest. No row: it is gone, or going.
UPDATE public.tenants t SET
    name = CASE WHEN g.f ? 'name' THEN g.f->>'name' ELSE t.name END,
    time_zone = CASE WHEN g.f ? 'time_zone' THEN g.f->>'time_zone' ELSE t.time_zone END,
    locale = CASE WHEN g.f ? 'locale' THEN g.f->>'locale' ELSE t.locale END,
    commands_enabled = CASE WHEN g.f ? 'commands_enabled'
        THEN (g.f->>'commands_enabled')::boolean ELSE t.commands_enabled END,
    max_devices = CASE WHEN g.f ? 'max_devices'
        THEN (g.f->>'max_devices')::integer ELSE t.max_devices END,
    max_users = CASE WHEN g.f ? 'max_users'
        THEN (g.f->>'max_users')::integer ELSE t.max_users END,
    requests_per_minute = CASE WHEN g.f ? 'requests_per_minute'
        THEN (g.f->>'requests_per_minute')::integer ELSE t.requests_per_minute END,
    user_requests_per_minute = CASE WHEN g.f ? 'user_requests_per_minute'
        THEN (g.f->>'user_requests_per_minute')::integer ELSE t.user_requests_per_minute END,
    raw_retention_days = CASE WHEN g.f ? 'raw_retention_days'
        THEN (g.f->>'raw_retention_days')::integer ELSE t.raw_retention_days END,
    retention_1m_days = CASE WHEN g.f ? 'retention_1m_days'
        THEN (g.f->>'retention_1m_days')::integer ELSE t.retention_1m_days END,
    retention_5m_days = CASE WHEN g.f ? 'retention_5m_days'
        THEN (g.f->>'retention_5m_days')::integer ELSE t.retention_5m_days END,
    retention_1h_days = CASE WHEN g.f ? 'retention_1h_days'
        THEN (g.f->>'retention_1h_days')::integer ELSE t.retention_1h_days END
FROM (SELECT %(fields)s::jsonb) AS g (f)
WHERE t.id = %(tenant_id)s AND t.erasing_at IS NULL
RETURNING t.id, t.slug, t.name, t.time_zone, t.locale, t.commands_enabled,
       t.max_devices, t.max_users, t.requests_per_minute, t.user_requests_per_minute,
       t.raw_retention_days, t.retention_1m_days, t.retention_5m_days, t.retention_1h_days,
       t.created_at, t.erasing_at

-- name: knows_time_zone
-- Whether the server knows a time zone by this name, spelt so.
SELECT EXISTS (SELECT FROM pg_catalog.pg_timezone_names z WHERE z.name = %(name)s)
