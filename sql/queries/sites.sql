-- Places of tenants.

-- name: sites_page
-- One page of the sites in sight, by tenant and slug: those after (after_tenant, after_slug).
SELECT s.id, t.slug, s.slug, s.name, s.created_at
FROM public.sites s
JOIN public.tenants t ON t.id = s.tenant_id
WHERE (t.slug, s.slug) > (%(after_tenant)s::text, %(after_slug)s::text)
ORDER BY t.slug, s.slug
LIMIT %(limit)s

-- name: site
-- One site by id.
SELECT s.id, t.slug, s.slug, s.name, s.created_at
FROM public.sites s
JOIN public.tenants t ON t.id = s.tenant_id
WHERE s.id = %(site_id)s

-- name: add_site
-- Adds a site. A slug that is taken is a unique_violation.
INSERT INTO public.sites (tenant_id, slug, name)
VALUES (%(tenant_id)s, %(slug)s, %(name)s)
RETURNING id

-- name: rename_site
-- Gives a site another name.
UPDATE public.sites SET name = %(name)s WHERE id = %(site_id)s RETURNING id

-- name: remove_site
-- Removes a site. One with devices is a foreign_key_violation.
DELETE FROM public.sites WHERE id = %(site_id)s RETURNING id
