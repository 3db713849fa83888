-- Devices that go to a newer version of their template. Run by traksense_ops.

-- name: wanted_devices
-- The devices of some ids, with what they are of; NULL where another owner's template is it.
-- Whoever is not in sight is not among the rows.
SELECT d.id, CASE WHEN dt.code = %(code)s AND dt.tenant_id IS NOT DISTINCT FROM o.tenant_id
                  THEN dt.version END
FROM public.devices d
JOIN public.device_templates dt ON dt.id = d.template_id
JOIN public.device_templates o ON o.id = %(template_id)s
WHERE d.id = ANY (%(ids)s::uuid[])
  AND (%(tenant_id)s::uuid IS NULL OR d.tenant_id = %(tenant_id)s::uuid)

-- name: lock_movable
-- The devices in sight that are of an older version, held until the transaction ends. In one
-- order, so that two moves wait for each other and never in a circle. The older versions are a
-- list by themselves: a device that was waited for is then looked at as it has become, while a
-- join would compare it with what it was of before.
SELECT d.id
FROM public.devices d
WHERE d.template_id = ANY (ARRAY(
          SELECT older.id
          FROM public.device_templates o
          JOIN public.device_templates older
            ON older.code = o.code AND older.tenant_id IS NOT DISTINCT FROM o.tenant_id
           AND older.version < o.version
          WHERE o.id = %(template_id)s))
  AND (%(ids)s::uuid[] IS NULL OR d.id = ANY (%(ids)s::uuid[]))
  AND (%(tenant_id)s::uuid IS NULL OR d.tenant_id = %(tenant_id)s::uuid)
ORDER BY d.id
FOR NO KEY UPDATE

-- name: count_movable
-- How many devices in sight are of each older version.
SELECT older.version, count(*)
FROM public.device_templates o
JOIN public.device_templates older
  ON older.code = o.code AND older.tenant_id IS NOT DISTINCT FROM o.tenant_id
 AND older.version < o.version
JOIN public.devices d ON d.template_id = older.id
WHERE o.id = %(template_id)s
  AND (%(ids)s::uuid[] IS NULL OR d.id = ANY (%(ids)s::uuid[]))
  AND (%(tenant_id)s::uuid IS NULL OR d.tenant_id = %(tenant_id)s::uuid)
GROUP BY older.version
ORDER BY older.version

-- name: incompatible
-- Points of these devices that have a name of the version's and another type or unit.
SELECT p.name, pg_catalog.concat_ws(' ', p.type, p.unit),
       pg_catalog.concat_ws(' ', n.type, n.unit), count(*)
FROM public.device_templates o
JOIN public.device_templates older
  ON older.code = o.code AND older.tenant_id IS NOT DISTINCT FROM o.tenant_id
 AND older.version < o.version
JOIN public.devices d ON d.template_id = older.id
JOIN public.points p ON p.device_id = d.id
JOIN public.point_templates n ON n.device_template_id = o.id AND n.name = p.name
WHERE o.id = %(template_id)s
  AND (%(ids)s::uuid[] IS NULL OR d.id = ANY (%(ids)s::uuid[]))
  AND (%(tenant_id)s::uuid IS NULL OR d.tenant_id = %(tenant_id)s::uuid)
  AND (p.type <> n.type OR p.unit IS DISTINCT FROM n.unit)
GROUP BY 1, 2, 3
ORDER BY 1, 2

-- name: move_points
-- The points of locked devices that are in the version, too. What somebody changed on the device
-- stays; what is still as the former template says becomes what the version says. A point that
-- the former version did not have comes back under contract, where that is wanted.
UPDATE public.points p
SET point_template_id = n.id,
    position = n.position,
    enum_values = n.enum_values,
    labels = CASE WHEN b.id IS NULL OR p.labels = b.labels THEN n.labels ELSE p.labels END,
    limits = CASE WHEN b.id IS NULL OR p.limits IS NOT DISTINCT FROM b.limits
                  THEN n.limits ELSE p.limits END,
    polarity = CASE WHEN b.id IS NULL OR p.polarity IS NOT DISTINCT FROM b.polarity
                    THEN n.polarity ELSE p.polarity END,
    hysteresis = CASE WHEN b.id IS NULL OR p.hysteresis IS NOT DISTINCT FROM b.hysteresis
                      THEN n.hysteresis ELSE p.hysteresis END,
    is_contracted = p.is_contracted OR %(contract_added)s AND former.id IS NULL
FROM public.points q
JOIN public.devices d ON d.id = q.device_id
JOIN public.point_templates n ON n.device_template_id = %(template_id)s AND n.name = q.name
LEFT JOIN public.point_templates b ON b.id = q.point_template_id
LEFT JOIN public.point_templates former
       ON former.device_template_id = d.template_id AND former.name = q.name
WHERE d.id = ANY (%(ids)s::uuid[]) AND p.id = q.id

-- name: add_points
-- The points that locked devices lack. Under contract are, where that is wanted, those that the
-- former version did not have; of the others somebody once decided that the device does without.
INSERT INTO public.points
    (tenant_id, device_id, point_template_id, position, name, labels, type, unit, enum_values,
     limits, polarity, hysteresis, is_contracted)
SELECT d.tenant_id, d.id, n.id, n.position, n.name, n.labels, n.type, n.unit, n.enum_values,
       n.limits, n.polarity, n.hysteresis,
       %(contract_added)s AND NOT EXISTS (
           SELECT FROM public.point_templates former
           WHERE former.device_template_id = d.template_id AND former.name = n.name)
FROM public.devices d
JOIN public.point_templates n ON n.device_template_id = %(template_id)s
WHERE d.id = ANY (%(ids)s::uuid[])
  AND NOT EXISTS (SELECT FROM public.points p WHERE p.device_id = d.id AND p.name = n.name)
ORDER BY d.id, n.position

-- name: release_points
-- The points of locked devices that the version has no more: their readings stay, and they are
-- under contract no longer.
UPDATE public.points p
SET is_contracted = false
WHERE p.device_id = ANY (%(ids)s::uuid[]) AND p.is_contracted AND p.point_template_id IS NOT NULL
  AND NOT EXISTS (
      SELECT FROM public.point_templates n
      WHERE n.device_template_id = %(template_id)s AND n.name = p.name)

-- name: move_devices
-- Locked devices are of the version from now on.
UPDATE public.devices d SET template_id = %(template_id)s WHERE d.id = ANY (%(ids)s::uuid[])
