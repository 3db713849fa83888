-- name: tenant_by_slug
-- The tenant that an operator chose by slug. One that is being erased is nobody's to choose.
SELECT t.id FROM public.tenants t WHERE t.slug = %(slug)s AND t.erasing_at IS NULL

-- name: tenant_profile
-- What a person's screen needs to know of her tenant, unless that is being erased.
SELECT t.slug, t.time_zone, t.locale FROM public.tenants t
WHERE t.id = %(tenant_id)s AND t.erasing_at IS NULL
