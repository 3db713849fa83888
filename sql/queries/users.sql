-- People of tenants, as they are to be in the user pool.

-- name: users_page
-- One page of a tenant's people by e-mail, those after %(after)s.
SELECT u.id, t.slug, u.email, u.name, u.role, u.locale, u.is_enabled, u.is_leaving,
       u.confirmed_at, u.unsettled_since, u.created_at, t.name, t.locale
FROM public.users u
JOIN public.tenants t ON t.id = u.tenant_id
WHERE u.tenant_id = %(tenant_id)s AND u.email > %(after)s::text
ORDER BY u.email
LIMIT %(limit)s

-- name: user
-- One person of a tenant.
SELECT u.id, t.slug, u.email, u.name, u.role, u.locale, u.is_enabled, u.is_leaving,
       u.confirmed_at, u.unsettled_since, u.created_at, t.name, t.locale
FROM public.users u
JOIN public.tenants t ON t.id = u.tenant_id
WHERE u.tenant_id = %(tenant_id)s AND u.id = %(user_id)s

-- name: user_locked
-- The same, held against every other writer until the end of the transaction.
SELECT u.id, t.slug, u.email, u.name, u.role, u.locale, u.is_enabled, u.is_leaving,
       u.confirmed_at, u.unsettled_since, u.created_at, t.name, t.locale
FROM public.users u
JOIN public.tenants t ON t.id = u.tenant_id
WHERE u.tenant_id = %(tenant_id)s AND u.id = %(user_id)s
FOR UPDATE OF u

-- name: lock_people
-- One at a time adds people to a tenant, so that its limit holds.
SELECT pg_catalog.pg_advisory_xact_lock(
    pg_catalog.hashtextextended('users of ' || %(tenant_id)s::uuid::text, 0))

-- name: room_for_people
-- How many people a tenant has and may have; no row where it is gone or going.
SELECT (SELECT count(*) FROM public.users u WHERE u.tenant_id = t.id), t.max_users
FROM public.tenants t
WHERE t.id = %(tenant_id)s AND t.erasing_at IS NULL

-- name: take_up_user
-- Says anew who an invited person is to be whom the pool may not have yet: a call that was cut
-- short comes again.
UPDATE public.users u SET name = %(name)s, role = %(role)s, locale = %(locale)s,
    is_enabled = true, is_leaving = false
WHERE u.tenant_id = %(tenant_id)s AND u.email = %(email)s
  AND u.unsettled_since IS NOT NULL AND u.confirmed_at IS NULL
RETURNING u.id

-- name: add_user
-- Adds a person who is yet to be made in the pool.
INSERT INTO public.users (id, tenant_id, email, name, role, locale, unsettled_since)
VALUES (gen_random_uuid(), %(tenant_id)s, %(email)s, %(name)s, %(role)s, %(locale)s, now())
RETURNING id

-- name: change_user
-- Changes what %(fields)s holds of a person who is not leaving, and marks that the pool lacks it.
UPDATE public.users u SET
    name = CASE WHEN g.f ? 'name' THEN g.f->>'name' ELSE u.name END,
    role = CASE WHEN g.f ? 'role' THEN g.f->>'role' ELSE u.role END,
    locale = CASE WHEN g.f ? 'locale' THEN g.f->>'locale' ELSE u.locale END,
    is_enabled = CASE WHEN g.f ? 'is_enabled'
        THEN (g.f->>'is_enabled')::boolean ELSE u.is_enabled END,
    unsettled_since = coalesce(u.unsettled_since, now())
FROM (SELECT %(fields)s::jsonb) AS g (f)
WHERE u.tenant_id = %(tenant_id)s AND u.id = %(user_id)s AND NOT u.is_leaving
RETURNING u.id

-- name: user_leaves
-- Marks that a person is to be removed from the pool.
UPDATE public.users u SET is_leaving = true, unsettled_since = coalesce(u.unsettled_since, now())
WHERE u.tenant_id = %(tenant_id)s AND u.id = %(user_id)s
RETURNING u.id

-- name: settle_user
-- The pool has the person as the row says.
UPDATE public.users u SET id = %(subject)s, unsettled_since = NULL,
    confirmed_at = CASE WHEN %(is_confirmed)s THEN coalesce(u.confirmed_at, now()) END
WHERE u.tenant_id = %(tenant_id)s AND u.id = %(user_id)s
RETURNING u.id

-- name: remove_user
-- The pool no longer has the person, or never will.
DELETE FROM public.users u WHERE u.tenant_id = %(tenant_id)s AND u.id = %(user_id)s

-- name: confirm_user
-- A person has chosen a password.
UPDATE public.users u SET confirmed_at = now()
WHERE u.tenant_id = %(tenant_id)s AND u.id = %(user_id)s AND u.confirmed_at IS NULL
