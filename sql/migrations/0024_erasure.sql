-- Erasing a tenant: what is asked for and how far it is, what is left to do, and the proof.

CREATE TABLE public.erasures (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id uuid NOT NULL UNIQUE,
    slug text NOT NULL UNIQUE,
    step text NOT NULL DEFAULT 'listing',
    done_to text,
    step_since timestamptz NOT NULL DEFAULT now(),
    requested_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    claimed_until timestamptz,
    trouble text,
    is_again boolean NOT NULL DEFAULT false,
    counts jsonb NOT NULL DEFAULT '{}'
);
COMMENT ON TABLE public.erasures IS
    'The erasure of a tenant as a job; once finished, the proof of it. No personal data.';
COMMENT ON COLUMN public.erasures.done_to IS 'Where in its step an interrupted run goes on.';
COMMENT ON COLUMN public.erasures.claimed_until IS 'Until then somebody is at work on it.';
COMMENT ON COLUMN public.erasures.trouble IS 'What the last run could not reach; NULL: nothing.';
COMMENT ON COLUMN public.erasures.is_again IS
    'It was applied to a database that had been restored from before it.';
COMMENT ON COLUMN public.erasures.counts IS 'What was deleted, by kind.';

CREATE TABLE public.erasure_items (
    erasure_id uuid NOT NULL REFERENCES public.erasures ON DELETE CASCADE,
    kind text NOT NULL CHECK (kind IN ('point', 'device', 'certificate', 'thing', 'user', 'topic')),
    key text NOT NULL,
    PRIMARY KEY (erasure_id, kind, key)
);
COMMENT ON TABLE public.erasure_items IS
    'What a running erasure has yet to look after, by name, since the configuration that names it '
    'goes meanwhile. Empty once it is finished.';

-- A gateway known by its MAC address has no tenant in its topic.
CREATE TABLE public.erased_gateways (
    mac_digest bytea PRIMARY KEY CHECK (length(mac_digest) = 32)
);
COMMENT ON TABLE public.erased_gateways IS
    'SHA-256 of the MAC addresses of erased gateways: what they still send is kept nowhere.';

ALTER TABLE public.erasures ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.erasures FORCE ROW LEVEL SECURITY;
CREATE POLICY owner_all ON public.erasures TO traksense_owner USING (true) WITH CHECK (true);
CREATE POLICY ops_all ON public.erasures FOR SELECT TO traksense_ops USING (true);
GRANT SELECT ON public.erasures TO traksense_ops;

CREATE FUNCTION public.begin_erasure(of_tenant uuid) RETURNS boolean
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    its_slug text;
BEGIN
    UPDATE public.tenants t SET erasing_at = coalesce(t.erasing_at, now())
    WHERE t.id = of_tenant RETURNING t.slug INTO its_slug;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    INSERT INTO public.tenant_tombstones (slug, tenant_id) VALUES (its_slug, of_tenant)
    ON CONFLICT DO NOTHING;
    INSERT INTO public.erasures (tenant_id, slug) VALUES (of_tenant, its_slug)
    ON CONFLICT DO NOTHING;
    RETURN true;
END
$$;
COMMENT ON FUNCTION public.begin_erasure(uuid) IS
    'Buries a tenant: its slug is never used again, nobody chooses it from now on, its erasure is '
    'asked for. Whether there is one. Once more changes nothing.';
GRANT EXECUTE ON FUNCTION public.begin_erasure(uuid) TO traksense_ops;

-- Who a topic is, without tenants that are being erased: their messages find nobody.
CREATE OR REPLACE VIEW public.ingest_devices AS
SELECT d.id AS device_id, d.tenant_id, t.slug AS tenant, s.slug AS site, d.name AS device,
       d.mac, d.gateway_id, d.gateway_code, dt.adapter, dt.offline_after, dt.keep_raw, d.status,
       dt.max_messages_per_minute
FROM public.devices d
JOIN public.tenants t ON t.id = d.tenant_id AND t.erasing_at IS NULL
JOIN public.sites s ON s.id = d.site_id
JOIN public.device_templates dt ON dt.id = d.template_id;

CREATE FUNCTION public.drop_letter_of_the_erased() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    IF EXISTS (
        SELECT FROM public.tenant_tombstones t
        WHERE t.tenant_id = NEW.tenant_id
           OR NEW.topic LIKE 'traksense/%' AND t.slug = split_part(NEW.topic, '/', 2)
    ) OR NEW.tenant_id IS NULL AND EXISTS (
        SELECT FROM public.erased_gateways g
        WHERE NEW.topic LIKE 'tds\_new/devices/%'
          AND g.mac_digest = sha256(convert_to(lower(split_part(NEW.topic, '/', 3)), 'UTF8'))
    ) THEN
        RETURN NULL;
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION public.drop_letter_of_the_erased() IS
    'What an erased tenant''s devices still send, or what a queue still held of them, is not kept.';
CREATE TRIGGER ingest_errors_of_the_erased BEFORE INSERT ON public.ingest_errors
    FOR EACH ROW EXECUTE FUNCTION public.drop_letter_of_the_erased();

CREATE FUNCTION public.list_for_erasure(of_erasure uuid) RETURNS bigint
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog AS $$
DECLARE
    of_tenant uuid;
    its_slug text;
    added bigint;
BEGIN
    SELECT e.tenant_id, e.slug INTO of_tenant, its_slug
    FROM public.erasures e WHERE e.id = of_erasure;
    INSERT INTO public.erasure_items (erasure_id, kind, key)
    SELECT of_erasure, 'point', p.point_sk::text
    FROM public.dim_point p WHERE p.tenant_id = of_tenant
    UNION ALL
    SELECT of_erasure, 'device', d.id::text FROM public.devices d WHERE d.tenant_id = of_tenant
    UNION ALL
    SELECT of_erasure, 'certificate', concat_ws(' ', c.thing_name, c.certificate_id, c.arn)
    FROM public.device_certificates c
    WHERE c.tenant_id = of_tenant AND c.status <> 'revoked'
    UNION ALL
    SELECT of_erasure, 'thing', its_slug || '_' || d.name
    FROM public.devices d WHERE d.tenant_id = of_tenant AND d.gateway_id IS NULL
    UNION ALL
    SELECT of_erasure, 'topic', concat_ws('/', 'traksense', its_slug, s.slug, d.name, 'state')
    FROM public.devices d JOIN public.sites s ON s.id = d.site_id
    WHERE d.tenant_id = of_tenant
    UNION ALL
    SELECT of_erasure, 'user', u.email FROM public.users u WHERE u.tenant_id = of_tenant
    ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS added = ROW_COUNT;
    INSERT INTO public.erased_gateways (mac_digest)
    SELECT sha256(convert_to(d.mac::text, 'UTF8'))
    FROM public.devices d WHERE d.tenant_id = of_tenant AND d.mac IS NOT NULL
    ON CONFLICT DO NOTHING;
    RETURN added;
END
$$;
COMMENT ON FUNCTION public.list_for_erasure(uuid) IS
    'Notes what there is of a tenant outside the tables that name it; how much was not noted yet.';

-- Every table that says whose its rows are, but for what outlives a tenant on purpose.
CREATE FUNCTION public.tenants_tables() RETURNS SETOF regclass
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog AS $$
DECLARE
    left_over regclass[];
    free regclass[];
BEGIN
    SELECT array_agg(c.oid::regclass ORDER BY c.relname) INTO left_over
    FROM pg_class c
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
      AND NOT c.relispartition
      AND c.relname NOT IN ('tenant_tombstones', 'erasures');
    -- Who refers to another goes first, so that no cascade deletes what nobody counted.
    WHILE cardinality(left_over) > 0 LOOP
        SELECT array_agg(t) INTO free
        FROM unnest(left_over) AS t
        WHERE NOT EXISTS (
            SELECT FROM pg_constraint k
            WHERE k.contype = 'f' AND k.confrelid = t AND k.conrelid <> t
              AND k.conrelid = ANY (left_over)
        );
        IF free IS NULL THEN
            RAISE EXCEPTION 'these tables refer to each other in a circle: %', left_over;
        END IF;
        RETURN QUERY SELECT t FROM unnest(free) AS t;
        left_over := ARRAY(SELECT t FROM unnest(left_over) AS t WHERE t <> ALL (free));
    END LOOP;
END
$$;
COMMENT ON FUNCTION public.tenants_tables() IS
    'The tables with rows of tenants, in an order in which they can be emptied.';

CREATE FUNCTION public.erase_configuration(
    of_tenant uuid, most integer, OUT of_table text, OUT gone bigint
)
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog AS $$
DECLARE
    relation regclass;
BEGIN
    FOR relation IN SELECT * FROM public.tenants_tables() LOOP
        -- What refers to rows of its own table goes whole, or a slice might leave what refers to it.
        IF EXISTS (SELECT FROM pg_constraint k
                   WHERE k.contype = 'f' AND k.conrelid = relation AND k.confrelid = relation) THEN
            EXECUTE format('DELETE FROM %s WHERE tenant_id = $1', relation) USING of_tenant;
        ELSE
            -- The tenant once more: of a partitioned table, a ctid is one row in each partition.
            EXECUTE format('DELETE FROM %1$s WHERE tenant_id = $1 AND ctid = ANY (ARRAY('
                           'SELECT ctid FROM %1$s WHERE tenant_id = $1 LIMIT $2))', relation)
                USING of_tenant, most;
        END IF;
        GET DIAGNOSTICS gone = ROW_COUNT;
        IF gone > 0 THEN
            SELECT c.relname INTO of_table FROM pg_class c WHERE c.oid = relation;
            RETURN;
        END IF;
    END LOOP;
    DELETE FROM public.tenants t WHERE t.id = of_tenant;
    GET DIAGNOSTICS gone = ROW_COUNT;
    of_table := CASE WHEN gone > 0 THEN 'tenants' END;
END
$$;
COMMENT ON FUNCTION public.erase_configuration(uuid, integer) IS
    'Deletes rows of a tenant from the next table that has some, at last the tenant itself; from '
    'which and how many. NULL: nothing is left.';

CREATE FUNCTION public.erase_dead_letters(of_tenant uuid, most integer) RETURNS bigint
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog AS $$
DECLARE
    its_slug text;
    gone bigint;
BEGIN
    SELECT t.slug INTO its_slug FROM public.tenant_tombstones t WHERE t.tenant_id = of_tenant;
    DELETE FROM public.ingest_errors e
    WHERE e.id = ANY (ARRAY(
        SELECT o.id FROM public.ingest_errors o
        WHERE o.tenant_id = of_tenant
           OR o.topic LIKE 'traksense/%' AND split_part(o.topic, '/', 2) = its_slug
           OR o.tenant_id IS NULL AND o.topic LIKE 'tds\_new/devices/%' AND EXISTS (
                  SELECT FROM public.erased_gateways g
                  WHERE g.mac_digest = sha256(convert_to(lower(split_part(o.topic, '/', 3)), 'UTF8')))
        LIMIT most));
    GET DIAGNOSTICS gone = ROW_COUNT;
    RETURN gone;
END
$$;
COMMENT ON FUNCTION public.erase_dead_letters(uuid, integer) IS
    'Deletes up to so many dead letters of a buried tenant, also those that only its topics name; '
    'how many.';

CREATE FUNCTION public.erasure_leftovers(of_tenant uuid) RETURNS bigint
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog AS $$
DECLARE
    relation regclass;
    found_rows bigint;
    total bigint;
BEGIN
    SELECT count(*) INTO total FROM public.tenants t WHERE t.id = of_tenant;
    FOR relation IN SELECT * FROM public.tenants_tables() LOOP
        EXECUTE format('SELECT count(*) FROM %s WHERE tenant_id = $1', relation)
            INTO found_rows USING of_tenant;
        total := total + found_rows;
    END LOOP;
    RETURN total;
END
$$;
COMMENT ON FUNCTION public.erasure_leftovers(uuid) IS
    'Rows that are still a tenant''s, wherever rows say whose they are.';
