-- name: offline_sweep
-- Devices silent for longer than their template allows are offline. state_at stays: a message
-- that arrived in time but is still in a queue brings the device back.
UPDATE public.device_state s
SET is_online = false
FROM public.devices d
JOIN public.device_templates t ON t.id = d.template_id
WHERE d.id = s.device_id
  AND s.is_online
  AND greatest(s.last_seen, s.state_at) < %(now)s - t.offline_after
RETURNING s.device_id;

-- name: ensure_partitions
-- Day partitions from the oldest day that a reading may have to some days ahead; how many were
-- made.
SELECT public.ensure_raw_partitions(%(first)s::date, %(last)s::date);
