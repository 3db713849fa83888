-- name: lock_states
-- The connection states that a batch has news of, locked in one order for every writer.
SELECT s.device_id, s.is_online, s.last_seen, s.state_at, s.session_id, s.session_version,
       s.session_open, s.session_at, s.session_replaced_at
FROM public.device_state s
WHERE s.device_id = ANY (%(device_ids)s::uuid[])
ORDER BY s.device_id
FOR NO KEY UPDATE;

-- name: update_state
-- One device's connection state, as the state machine left it; its row is locked.
UPDATE public.device_state
SET is_online = %(is_online)s, last_seen = %(last_seen)s, state_at = %(state_at)s,
    session_id = %(session_id)s, session_version = %(session_version)s,
    session_open = %(session_open)s, session_at = %(session_at)s,
    session_replaced_at = %(session_replaced_at)s
WHERE device_id = %(device_id)s;

-- name: add_event
-- An event, once however often it is delivered.
INSERT INTO public.device_events
    (tenant_id, device_id, event_id, event_type, ts, data, received_at)
VALUES (%(tenant_id)s, %(device_id)s, %(event_id)s, %(event_type)s, %(ts)s, %(data)s,
        %(received_at)s)
ON CONFLICT DO NOTHING;

-- name: add_alarm
-- An alarm's beginning or end, once however often it is delivered.
INSERT INTO public.device_alarms
    (tenant_id, device_id, code, severity, active, ts, message, received_at)
VALUES (%(tenant_id)s, %(device_id)s, %(code)s, %(severity)s, %(active)s, %(ts)s, %(message)s,
        %(received_at)s)
ON CONFLICT DO NOTHING;
