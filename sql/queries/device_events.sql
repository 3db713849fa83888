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

-- name: record_acks
-- What devices said of commands, each counted once: the first ack of a command is kept, and
-- decides its status if it arrived in time and the command was still pending. One statement for a
-- batch; the rows are locked in one order, as every writer does. Gives for each ack its number,
-- and what became of it: acked, error, late, repeated, or NULL where the device was sent no such
-- command.
WITH given AS (
    SELECT g.*
    FROM unnest(%(device_ids)s::uuid[], %(cmd_ids)s::text[], %(oks)s::boolean[],
                %(received_at)s::timestamptz[], %(ts_exec)s::timestamptz[], %(errs)s::text[])
        WITH ORDINALITY AS g(device_id, cmd_id, ok, received_at, ts_exec, err, n)
), locked AS (
    SELECT c.cmd_id, c.device_id, c.acked_at, c.status, c.times_out_at
    FROM public.commands c
    WHERE c.cmd_id = ANY (%(cmd_ids)s::text[])
    ORDER BY c.cmd_id
    FOR NO KEY UPDATE
), first AS (
    SELECT DISTINCT ON (l.cmd_id) g.n, l.cmd_id, g.ok, g.received_at, g.ts_exec, g.err,
           CASE WHEN l.status <> 'pending' THEN l.status
                WHEN g.received_at >= l.times_out_at THEN 'timeout'
                WHEN g.ok THEN 'acked'
                ELSE 'error' END AS status
    FROM given g
    JOIN locked l ON l.cmd_id = g.cmd_id AND l.device_id = g.device_id
    WHERE l.acked_at IS NULL
    ORDER BY l.cmd_id, g.n
), kept AS (
    UPDATE public.commands c
    SET status = f.status, acked_at = f.received_at, ok = f.ok, ts_exec = f.ts_exec, err = f.err
    FROM first f
    WHERE c.cmd_id = f.cmd_id AND c.acked_at IS NULL
    RETURNING f.n, CASE WHEN f.status = 'timeout' THEN 'late' ELSE f.status END AS outcome
)
SELECT g.n, COALESCE(k.outcome, CASE WHEN l.cmd_id IS NOT NULL THEN 'repeated' END)
FROM given g
LEFT JOIN locked l ON l.cmd_id = g.cmd_id AND l.device_id = g.device_id
LEFT JOIN kept k ON k.n = g.n
ORDER BY g.n
