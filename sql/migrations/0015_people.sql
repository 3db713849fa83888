-- Tenants with limits, slugs that are never used again, and the people whom Cognito knows.

ALTER TABLE public.tenants
    ADD COLUMN commands_enabled boolean NOT NULL DEFAULT false,
    ADD COLUMN requests_per_minute integer CHECK (requests_per_minute > 0),
    ADD COLUMN user_requests_per_minute integer CHECK (user_requests_per_minute > 0),
    ADD COLUMN max_devices integer CHECK (max_devices >= 0),
    ADD COLUMN max_users integer CHECK (max_users >= 0),
    ADD COLUMN erasing_at timestamptz;
COMMENT ON COLUMN public.tenants.requests_per_minute IS 'NULL, as in each limit: the platform''s.';
COMMENT ON COLUMN public.tenants.erasing_at IS
    'When its erasure was asked for: from then on it is nobody''s to choose.';

CREATE TABLE public.tenant_tombstones (
    slug text PRIMARY KEY CHECK (slug ~ '^[a-z0-9-]{1,31}$'),
    tenant_id uuid NOT NULL UNIQUE,
    buried_at timestamptz NOT NULL DEFAULT now(),
    erased_at timestamptz
);
COMMENT ON TABLE public.tenant_tombstones IS
    'Tenants that are, or are being, erased: nobody gets their slug again.';
COMMENT ON COLUMN public.tenant_tombstones.erased_at IS 'When nothing was left; NULL until then.';

CREATE FUNCTION public.check_tenant_slug() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF EXISTS (SELECT FROM public.tenant_tombstones t WHERE t.slug = NEW.slug) THEN
            RAISE EXCEPTION 'the slug % was another tenant''s', NEW.slug
                USING ERRCODE = 'unique_violation';
        END IF;
    ELSIF NEW.slug <> OLD.slug THEN
        RAISE EXCEPTION 'the slug of a tenant never changes' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER tenants_check_slug BEFORE INSERT OR UPDATE OF slug ON public.tenants
    FOR EACH ROW EXECUTE FUNCTION public.check_tenant_slug();

CREATE FUNCTION public.check_site_slug() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    IF NEW.slug <> OLD.slug THEN
        RAISE EXCEPTION 'the slug of a site never changes' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION public.check_site_slug() IS 'It stands in the topics of the site''s devices.';
CREATE TRIGGER sites_check_slug BEFORE UPDATE OF slug ON public.sites
    FOR EACH ROW EXECUTE FUNCTION public.check_site_slug();

CREATE TABLE public.users (
    id uuid PRIMARY KEY,
    tenant_id uuid NOT NULL REFERENCES public.tenants,
    email text NOT NULL CHECK (email = lower(email) AND length(email) BETWEEN 3 AND 128),
    name text NOT NULL CHECK (name <> '' AND length(name) <= 100),
    role text NOT NULL CHECK (role IN ('customer_admin', 'viewer')),
    locale text CHECK (locale IN ('pt-BR', 'en')),
    is_enabled boolean NOT NULL DEFAULT true,
    is_leaving boolean NOT NULL DEFAULT false,
    confirmed_at timestamptz,
    unsettled_since timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (email),
    UNIQUE (tenant_id, email)
);
COMMENT ON TABLE public.users IS
    'People of tenants as they are to be in the user pool, which cannot list by tenant.';
COMMENT ON COLUMN public.users.id IS
    'Their sub in the user pool; until the pool has made them, one of our own.';
COMMENT ON COLUMN public.users.locale IS 'NULL: the tenant''s.';
COMMENT ON COLUMN public.users.confirmed_at IS 'When they chose a password; NULL: still invited.';
COMMENT ON COLUMN public.users.unsettled_since IS
    'Since when this row says something that the user pool may not have yet; NULL: it has all.';

DO $$
DECLARE
    relation text;
BEGIN
    FOREACH relation IN ARRAY ARRAY['users', 'tenant_tombstones'] LOOP
        EXECUTE format('ALTER TABLE public.%I ENABLE ROW LEVEL SECURITY', relation);
        EXECUTE format('ALTER TABLE public.%I FORCE ROW LEVEL SECURITY', relation);
        EXECUTE format('CREATE POLICY owner_all ON public.%I TO traksense_owner '
                       'USING (true) WITH CHECK (true)', relation);
        EXECUTE format('CREATE POLICY ops_all ON public.%I TO traksense_ops '
                       'USING (true) WITH CHECK (true)', relation);
    END LOOP;
END
$$;
CREATE POLICY tenant_own ON public.users TO traksense_app
    USING (tenant_id = public.current_tenant_id())
    WITH CHECK (tenant_id = public.current_tenant_id());
GRANT SELECT, INSERT, UPDATE, DELETE ON public.users TO traksense_app, traksense_ops;
GRANT SELECT ON public.tenant_tombstones TO traksense_ops;
