-- name: tenant_by_slug
-- The tenant that an operator chose by slug.
SELECT t.id FROM public.tenants t WHERE t.slug = %(slug)s

-- name: tenant_profile
-- What a person's screen needs to know of her tenant.
SELECT t.slug, t.time_zone, t.locale FROM public.tenants t WHERE t.id = %(tenant_id)s
