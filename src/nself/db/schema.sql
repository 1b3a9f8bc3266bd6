-- The sum of the migrations, for reading. Written by `python tests/architecture/schema.py`, checked by a test.

create table billing_access (
    id bigint not null generated always as identity,
    user_id text not null,
    access text not null,
    reason text not null,
    actor text not null,
    changed_at timestamp with time zone not null,
    until timestamp with time zone not null
);

create table billing_api_keys (
    key_id text not null,
    name text not null,
    livemode boolean not null,
    scopes text[] not null,
    secret_hash bytea not null,
    created_at timestamp with time zone not null,
    last_used_at timestamp with time zone,
    revoked_at timestamp with time zone,
    user_id text
);

create table billing_audit (
    number bigint not null,
    entry text not null,
    phase text not null,
    at timestamp with time zone not null,
    actor text not null,
    host text not null,
    command text not null,
    outcome text not null,
    incident text not null,
    previous bytea not null,
    hash bytea not null
);

create table billing_audit_head (
    one boolean not null default true,
    number bigint not null,
    hash bytea not null
);

create table billing_cache (
    key text not null,
    value text not null,
    expires_at timestamp with time zone not null
);

create table billing_call_budget (
    livemode boolean not null,
    second bigint not null,
    granted integer not null,
    last_grant integer not null
);

create table billing_change_previews (
    token text not null,
    subscription_id text not null,
    item_id text not null,
    price_id text not null,
    quantity bigint not null,
    behavior text not null,
    proration_date timestamp with time zone not null,
    state jsonb not null,
    livemode boolean not null,
    made_at timestamp with time zone not null
);

create table billing_comps (
    id bigint not null generated always as identity,
    subscription_id text not null,
    livemode boolean not null,
    reason text not null,
    actor text not null,
    given_at timestamp with time zone not null,
    until timestamp with time zone not null
);

create table billing_customer_links (
    id bigint not null generated always as identity,
    customer_id text not null,
    user_id text not null,
    before_user_id text,
    livemode boolean not null,
    actor text not null,
    reason text,
    linked_at timestamp with time zone not null
);

create table billing_customers (
    customer_id text not null,
    user_id text,
    livemode boolean not null,
    deleted boolean not null default false,
    snapshot jsonb not null,
    snapshot_number bigint not null,
    created_at timestamp with time zone not null,
    synced_at timestamp with time zone not null,
    email text default (snapshot ->> 'email'::text),
    name text default (snapshot ->> 'name'::text),
    currency text default (snapshot ->> 'currency'::text),
    balance_minor bigint not null default COALESCE(((snapshot ->> 'balance'::text))::bigint, (0)::bigint),
    default_payment_method text default ((snapshot -> 'invoice_settings'::text) ->> 'default_payment_method'::text),
    source text not null default 'earlier version'::text,
    api_version text,
    digest text not null default ''::text,
    trial_used boolean not null default false,
    found_by text not null default "left"(lower(((((((COALESCE((snapshot ->> 'email'::text), ''::text) || chr(10)) || COALESCE((snapshot ->> 'name'::text), ''::text)) || chr(10)) || COALESCE(user_id, ''::text)) || chr(10)) || customer_id)), 400)
);

create table billing_document_files (
    invoice_id text not null,
    version text not null,
    content bytea not null,
    sha256 text not null,
    pages integer not null,
    language text not null,
    standard text not null,
    einvoice text not null,
    template text not null,
    warnings text[] not null,
    took_ms integer not null,
    made_at timestamp with time zone not null
);

create table billing_documents (
    invoice_id text not null,
    state text not null,
    requested_at timestamp with time zone not null,
    due_at timestamp with time zone not null,
    attempts integer not null default 0,
    token bigint not null default 0,
    lease_until timestamp with time zone,
    version text,
    error_code text,
    error text,
    hint text[] not null default '{}'::text[],
    finished_at timestamp with time zone
);

create table billing_incident_notes (
    id bigint not null generated always as identity,
    incident_id text not null,
    at timestamp with time zone not null,
    actor text not null,
    note text not null
);

create table billing_incidents (
    id text not null,
    type text not null,
    severity text not null,
    description text not null,
    began_at timestamp with time zone not null,
    opened_at timestamp with time zone not null,
    opened_by text not null,
    closed_at timestamp with time zone,
    closed_by text,
    resolution text
);

create table billing_intents (
    id bigint not null generated always as identity,
    operation text not null,
    step integer not null,
    kind text not null,
    params jsonb not null,
    idempotency_key text not null,
    livemode boolean not null,
    state text not null default 'pending'::text,
    object_id text,
    attempts integer not null default 0,
    next_at timestamp with time zone not null default now(),
    lease_until timestamp with time zone,
    fence bigint not null default 0,
    first_sent_at timestamp with time zone,
    error_code text,
    error text,
    created_at timestamp with time zone not null default now(),
    settled_at timestamp with time zone,
    failure jsonb,
    caused_by text,
    payment boolean not null default false,
    queued_at timestamp with time zone,
    last_failed_at timestamp with time zone
);

create table billing_invoice_plan_lines (
    operation text not null,
    metric_type text not null,
    used numeric not null,
    limit_value bigint not null,
    overage numeric not null,
    billed_before_minor bigint not null,
    amount_minor bigint not null,
    description text not null,
    line text not null,
    period_start timestamp with time zone not null,
    period_end timestamp with time zone not null,
    events bigint,
    price jsonb not null,
    rated jsonb,
    override_id bigint
);

create table billing_invoice_plans (
    user_id text not null,
    period_start timestamp with time zone not null,
    period_end timestamp with time zone not null,
    revision integer not null,
    operation text not null,
    customer_id text not null,
    currency text not null,
    total_minor bigint not null,
    livemode boolean not null,
    invoice_id text,
    planned_at timestamp with time zone not null,
    minimum jsonb
);

create table billing_invoices (
    invoice_id text not null,
    livemode boolean not null,
    deleted boolean not null default false,
    snapshot jsonb not null,
    snapshot_number bigint not null,
    created_at timestamp with time zone not null,
    synced_at timestamp with time zone not null,
    customer_id text default (snapshot ->> 'customer'::text),
    number text default (snapshot ->> 'number'::text),
    status text default (snapshot ->> 'status'::text),
    currency text default (snapshot ->> 'currency'::text),
    total_minor bigint not null default COALESCE(((snapshot ->> 'total'::text))::bigint, (0)::bigint),
    amount_due_minor bigint not null default COALESCE(((snapshot ->> 'amount_due'::text))::bigint, (0)::bigint),
    amount_paid_minor bigint not null default COALESCE(((snapshot ->> 'amount_paid'::text))::bigint, (0)::bigint),
    source text not null default 'earlier version'::text,
    api_version text,
    digest text not null default ''::text,
    paid_at timestamp with time zone default to_timestamp(((((snapshot -> 'status_transitions'::text) ->> 'paid_at'::text))::bigint)::double precision),
    amounts_by_price jsonb not null default billing_amounts_by_price(snapshot)
);

create table billing_jobs (
    id bigint not null generated always as identity,
    type text not null,
    state text not null,
    due_at timestamp with time zone not null,
    attempts integer not null default 0,
    token bigint not null default 0,
    worker text,
    started_at timestamp with time zone,
    lease_until timestamp with time zone,
    finished_at timestamp with time zone,
    result text,
    last_error text
);

create table billing_mail_events (
    id bigint not null generated always as identity,
    message text not null,
    at timestamp with time zone not null,
    what text not null,
    answer text
);

create table billing_mail_suppressions (
    address text not null,
    reason text not null,
    detail text,
    message text,
    created_at timestamp with time zone not null
);

create table billing_measured (
    name text not null,
    labels text[] not null,
    count bigint not null,
    seconds double precision not null,
    counts bigint[] not null
);

create table billing_measurements (
    at timestamp with time zone not null,
    width interval not null,
    name text not null,
    labels text[] not null,
    count bigint not null,
    seconds double precision not null,
    counts bigint[] not null
);

create table billing_metric_periods (
    period_start timestamp with time zone not null,
    metric_type text not null,
    formula text not null,
    pinned_at timestamp with time zone not null
);

create table billing_mrr (
    note bigint not null,
    at timestamp with time zone not null,
    subscription_id text not null,
    customer_id text not null,
    livemode boolean not null,
    currency text not null,
    noted_at timestamp with time zone not null,
    seen_at timestamp with time zone not null,
    first boolean not null,
    mrr_minor bigint not null,
    parts jsonb not null,
    doubt text
);

create table billing_mrr_due (
    id bigint not null generated always as identity,
    subscription_id text not null,
    snapshot jsonb not null,
    at timestamp with time zone not null,
    seen_at timestamp with time zone not null
);

create table billing_notifications (
    id text not null,
    kind text not null,
    channel text not null,
    recipient text not null,
    livemode boolean not null,
    data text not null,
    state text not null,
    created_at timestamp with time zone not null,
    due_at timestamp with time zone not null,
    attempts integer not null default 0,
    token bigint not null default 0,
    lease_until timestamp with time zone,
    sent_at timestamp with time zone,
    last_error text,
    once text,
    template text
);

create table billing_object_changes (
    id bigint not null generated always as identity,
    kind text not null,
    object_id text not null,
    livemode boolean not null,
    what text not null,
    source text not null,
    cause text,
    snapshot_number bigint not null,
    changes jsonb not null,
    changed_at timestamp with time zone not null
);

create table billing_objects (
    kind text not null,
    object_id text not null,
    livemode boolean not null,
    deleted boolean not null default false,
    customer_id text default (snapshot ->> 'customer'::text),
    status text default (snapshot ->> 'status'::text),
    snapshot jsonb not null,
    snapshot_number bigint not null,
    source text not null,
    api_version text,
    digest text not null,
    created_at timestamp with time zone not null,
    synced_at timestamp with time zone not null
) -- partitioned;

create table billing_operations (
    id bigint not null generated always as identity,
    use text not null,
    input text not null,
    given jsonb not null,
    actor text not null,
    livemode boolean not null,
    state text not null default 'queued'::text,
    attempts integer not null default 0,
    result jsonb,
    error text,
    asked_at timestamp with time zone not null,
    started_at timestamp with time zone,
    finished_at timestamp with time zone
);

create table billing_operator_links (
    hash bytea not null,
    name text not null,
    expires_at timestamp with time zone not null
);

create table billing_operator_sessions (
    hash bytea not null,
    name text not null,
    csrf text not null,
    address text not null,
    created_at timestamp with time zone not null,
    seen_at timestamp with time zone not null,
    expires_at timestamp with time zone not null
);

create table billing_operators (
    name text not null,
    role text not null,
    password bytea,
    totp text,
    totp_step bigint not null default 0,
    failures integer not null default 0,
    failed_at timestamp with time zone,
    created_at timestamp with time zone not null,
    signed_in_at timestamp with time zone
);

create table billing_overage_updates (
    id bigint not null generated always as identity,
    user_id text not null,
    metric_type text not null,
    period_start timestamp with time zone not null,
    period_end timestamp with time zone not null,
    livemode boolean not null,
    used numeric not null,
    limit_value bigint not null,
    price jsonb,
    amount_minor bigint not null,
    before_minor bigint not null,
    currency text not null,
    reason text,
    actor text not null,
    updated_at timestamp with time zone not null
);

create table billing_page_links (
    hash bytea not null,
    user_id text not null,
    created_at timestamp with time zone not null,
    expires_at timestamp with time zone not null
);

create table billing_performance_looks (
    at timestamp with time zone not null
);

create table billing_plan_quotas (
    plan text not null,
    metric_type text not null,
    limit_value bigint not null,
    period text not null,
    mode text not null,
    updated_at timestamp with time zone not null
);

create table billing_quota_blocks (
    user_id text not null,
    metric_type text not null,
    reason text not null,
    actor text not null,
    blocked_at timestamp with time zone not null,
    expires_at timestamp with time zone not null
);

create table billing_quota_counters (
    user_id text not null,
    metric_type text not null,
    window_start timestamp with time zone not null,
    window_end timestamp with time zone not null,
    counted_from timestamp with time zone not null,
    aggregation text not null,
    used numeric not null,
    held numeric not null,
    expires_next timestamp with time zone not null,
    stale boolean not null,
    limit_value bigint not null,
    period text not null,
    mode text not null,
    source text not null,
    extra bigint not null,
    extra_until timestamp with time zone not null,
    blocked_until timestamp with time zone not null,
    block_reason text not null,
    exceeded_at timestamp with time zone,
    warned integer not null
);

create table billing_quota_notices (
    user_id text not null,
    metric_type text not null,
    window_start timestamp with time zone not null,
    threshold integer not null,
    used numeric not null,
    limit_value bigint not null,
    noticed_at timestamp with time zone not null
);

create table billing_quota_overrides (
    user_id text not null,
    metric_type text not null,
    extra bigint not null,
    granted_at timestamp with time zone not null,
    expires_at timestamp with time zone not null,
    actor text not null,
    reason text not null
);

create table billing_quota_reservations (
    user_id text not null,
    reservation_id text not null,
    metric_type text not null,
    value bigint not null,
    amount bigint not null,
    window_start timestamp with time zone not null,
    reserved_at timestamp with time zone not null,
    expires_at timestamp with time zone not null,
    state text not null,
    settled_value bigint,
    settled_at timestamp with time zone
);

create table billing_quota_resets (
    user_id text not null,
    metric_type text not null,
    reset_at timestamp with time zone not null,
    actor text not null,
    reason text not null
);

create table billing_quotas (
    user_id text not null,
    metric_type text not null,
    limit_value bigint not null,
    period text not null,
    mode text not null,
    updated_at timestamp with time zone not null
);

create table billing_seed_runs (
    id bigint not null generated always as identity,
    what text not null,
    started_at timestamp with time zone not null,
    ended_at timestamp with time zone,
    errors text[] not null default '{}'::text[]
);

create table billing_service_interruptions (
    run text not null,
    began_at timestamp with time zone not null,
    kind text not null,
    ended_at timestamp with time zone not null,
    detail text not null,
    buffered bigint not null
);

create table billing_service_memory (
    run text not null,
    at timestamp with time zone not null,
    low bigint not null,
    high bigint not null,
    doing text not null,
    seconds double precision not null
);

create table billing_service_runs (
    run text not null,
    service text not null,
    place text not null,
    pid integer not null,
    boot text not null,
    started_at timestamp with time zone not null,
    last_seen_at timestamp with time zone not null,
    ended text
);

create table billing_subscription_requests (
    id bigint not null generated always as identity,
    livemode boolean not null,
    what text not null,
    customer_id text,
    subscription_id text,
    price_id text,
    asked text not null,
    trial_end timestamp with time zone,
    behavior text,
    zone text not null,
    failure text,
    error text,
    made_at timestamp with time zone not null
);

create table billing_sync_differences (
    run_id bigint not null,
    kind text not null,
    object_id text not null,
    cause text not null,
    detail text not null,
    action text not null,
    money boolean not null,
    changes jsonb not null,
    state text not null,
    error text,
    found_at timestamp with time zone not null,
    healed_at timestamp with time zone
);

create table billing_sync_runs (
    id bigint not null generated always as identity,
    purpose text not null,
    livemode boolean not null,
    heal boolean not null,
    kinds text[] not null,
    created_from timestamp with time zone,
    created_to timestamp with time zone,
    batch_size integer not null,
    state text not null default 'running'::text,
    kind_number integer not null default 1,
    page_after text,
    page_bound timestamp with time zone,
    pages bigint not null default 0,
    checked bigint not null default 0,
    totals jsonb not null default '{}'::jsonb,
    actor text not null,
    worker text not null,
    fence bigint not null default 1,
    lease_until timestamp with time zone not null,
    started_at timestamp with time zone not null,
    moved_at timestamp with time zone not null,
    finished_at timestamp with time zone,
    error text
);

create table billing_usage (
    user_id text not null,
    metric_type text not null,
    value bigint not null,
    created_at timestamp with time zone not null,
    idempotency_key text not null,
    properties text,
    source text not null,
    recorded_at timestamp with time zone not null,
    dimensions jsonb
) -- partitioned;

create table billing_usage_adjustments (
    user_id text not null,
    idempotency_key text not null,
    revision integer not null,
    kind text not null,
    counts boolean not null,
    value bigint not null,
    value_before bigint not null,
    metric_type text not null,
    created_at timestamp with time zone not null,
    duplicate_of text,
    reason text,
    actor text not null,
    adjusted_at timestamp with time zone not null,
    superseded_at timestamp with time zone
);

create table billing_usage_archive_log (
    id bigint not null generated always as identity,
    month date not null,
    action text not null,
    events bigint not null,
    detail text not null,
    actor text not null,
    at timestamp with time zone not null
);

create table billing_usage_archive_owner (
    one boolean not null default true,
    owner text not null
);

create table billing_usage_archives (
    id bigint not null generated always as identity,
    month date not null,
    state text not null,
    location text not null,
    events bigint not null default 0,
    objects integer not null default 0,
    bytes bigint not null default 0,
    manifest_sha256 text,
    kept bigint not null default 0,
    returned bigint not null default 0,
    actor text not null,
    started_at timestamp with time zone not null,
    verified_at timestamp with time zone,
    dropped_at timestamp with time zone
);

create table billing_usage_deltas (
    user_id text not null,
    id bigint not null generated always as identity,
    metric_type text not null,
    hour timestamp with time zone not null,
    events bigint not null,
    total numeric not null,
    largest bigint not null,
    last_value bigint not null,
    last_at timestamp with time zone not null
);

create table billing_usage_folds (
    shard integer not null,
    folded_at timestamp with time zone not null,
    deltas bigint not null,
    duration interval not null,
    workers integer not null default 1
);

create table billing_usage_imports (
    source text not null,
    digest bytea not null default '\x'::bytea,
    path text not null,
    format text not null,
    position bigint not null,
    lines bigint not null,
    received bigint not null default 0,
    counted bigint not null default 0,
    duplicate bigint not null default 0,
    rejected bigint not null default 0,
    started_at timestamp with time zone not null,
    updated_at timestamp with time zone not null,
    count_metric text not null default 'api_calls'::text,
    bytes_metric text not null default 'bandwidth'::text,
    origin text
);

create table billing_usage_intake (
    id bigint not null generated always as identity,
    source text not null,
    received bigint not null,
    duplicate bigint not null,
    at timestamp with time zone not null
);

create table billing_usage_keys (
    user_id text not null,
    idempotency_key text not null,
    digest bytea not null
);

create table billing_usage_reconstructions (
    id bigint not null generated always as identity,
    user_id text not null,
    period_start timestamp with time zone not null,
    period_end timestamp with time zone not null,
    sources text not null,
    in_log bigint not null,
    missing bigint not null,
    recorded bigint not null,
    invoiced boolean not null,
    actor text not null,
    reason text,
    reconstructed_at timestamp with time zone not null
);

create table billing_usage_recounts (
    one boolean not null default true,
    before timestamp with time zone not null,
    events bigint not null,
    counted_at timestamp with time zone not null
);

create table billing_usage_refusals (
    origin text not null,
    number bigint not null,
    code text not null,
    began_at timestamp with time zone not null,
    ended_at timestamp with time zone not null,
    requests bigint not null,
    events bigint not null
);

create table billing_usage_rejected (
    id bigint not null generated always as identity,
    event text not null,
    code text not null,
    message text not null,
    source text not null,
    rejected_at timestamp with time zone not null
);

create table billing_usage_rollups (
    user_id text not null,
    metric_type text not null,
    hour timestamp with time zone not null,
    events bigint not null,
    total numeric not null,
    largest bigint not null,
    last_value bigint not null,
    last_at timestamp with time zone not null
);

create table billing_usage_share_counts (
    period_start timestamp with time zone not null,
    metric_type text not null,
    dimension text not null,
    events bigint not null,
    counted_at timestamp with time zone not null
);

create table billing_usage_shares (
    period_start timestamp with time zone not null,
    metric_type text not null,
    dimension text not null,
    place bigint not null,
    name text,
    value numeric,
    events bigint not null
);

create table billing_usage_spools (
    spool text not null,
    segment bigint not null,
    position bigint not null,
    events bigint not null default 0,
    drained_at timestamp with time zone
);

create table billing_usage_terms (
    month date not null,
    zone text not null,
    formulas text not null,
    noted_at timestamp with time zone not null
);

create table billing_usage_totals (
    metric_type text not null,
    hour timestamp with time zone not null,
    shard integer not null,
    events bigint not null,
    total numeric not null,
    late bigint not null
);

create table billing_webhook_events (
    id bigint not null generated always as identity,
    event_id text not null,
    type text not null,
    object_id text not null,
    object_kind text not null,
    livemode boolean not null,
    api_version text,
    event_created_at timestamp with time zone not null,
    payload text not null,
    status text not null default 'received'::text,
    deliveries integer not null default 1,
    attempts integer not null default 0,
    error text,
    received_at timestamp with time zone not null,
    processed_at timestamp with time zone,
    source text not null default 'delivery'::text,
    claimed_at timestamp with time zone,
    fetch_ms integer,
    took_ms integer
);

create table billing_webhook_objects (
    object_id text not null,
    next_at timestamp with time zone,
    lease_until timestamp with time zone,
    fence bigint not null default 0
);

create table billing_webhook_polls (
    livemode boolean not null,
    began_at timestamp with time zone not null,
    seen_at timestamp with time zone not null,
    page_after text,
    page_newest timestamp with time zone,
    polled_at timestamp with time zone,
    missed bigint not null default 0,
    missed_at timestamp with time zone
);

create table billing_webhook_refusals (
    id bigint not null generated always as identity,
    code text not null,
    reason text not null,
    skew integer,
    event_id text,
    times bigint not null,
    refused_at timestamp with time zone not null
);

alter table billing_access add constraint billing_access_access_check CHECK ((access = ANY (ARRAY['granted'::text, 'revoked'::text])));
alter table billing_access add constraint billing_access_pkey PRIMARY KEY (user_id, id);
alter table billing_api_keys add constraint billing_api_keys_key_id_check CHECK ((key_id ~ '^[0-9A-Za-z]{8}$'::text));
alter table billing_api_keys add constraint billing_api_keys_pkey PRIMARY KEY (key_id);
alter table billing_api_keys add constraint billing_api_keys_scopes_check CHECK ((cardinality(scopes) > 0));
alter table billing_api_keys add constraint billing_api_keys_secret_hash_check CHECK ((octet_length(secret_hash) = 32));
alter table billing_api_keys add constraint billing_api_keys_user_id_check CHECK ((user_id <> ''::text));
alter table billing_audit add constraint billing_audit_entry_phase_key UNIQUE (entry, phase);
alter table billing_audit add constraint billing_audit_hash_check CHECK ((octet_length(hash) = 32));
alter table billing_audit add constraint billing_audit_phase_check CHECK ((phase = ANY (ARRAY['begun'::text, 'done'::text, 'failed'::text])));
alter table billing_audit add constraint billing_audit_pkey PRIMARY KEY (number);
alter table billing_audit add constraint billing_audit_previous_check CHECK ((octet_length(previous) = 32));
alter table billing_audit_head add constraint billing_audit_head_hash_check CHECK ((octet_length(hash) = 32));
alter table billing_audit_head add constraint billing_audit_head_one_check CHECK (one);
alter table billing_audit_head add constraint billing_audit_head_pkey PRIMARY KEY (one);
alter table billing_cache add constraint billing_cache_pkey PRIMARY KEY (key);
alter table billing_call_budget add constraint billing_call_budget_pkey PRIMARY KEY (livemode, second);
alter table billing_change_previews add constraint billing_change_previews_pkey PRIMARY KEY (token);
alter table billing_comps add constraint billing_comps_pkey PRIMARY KEY (id);
alter table billing_customer_links add constraint billing_customer_links_pkey PRIMARY KEY (id);
alter table billing_customers add constraint billing_customers_pkey PRIMARY KEY (customer_id);
alter table billing_document_files add constraint billing_document_files_pkey PRIMARY KEY (invoice_id, version);
alter table billing_documents add constraint billing_documents_pkey PRIMARY KEY (invoice_id);
alter table billing_documents add constraint billing_documents_state_check CHECK ((state = ANY (ARRAY['queued'::text, 'running'::text, 'done'::text, 'failed'::text])));
alter table billing_incident_notes add constraint billing_incident_notes_incident_id_fkey FOREIGN KEY (incident_id) REFERENCES billing_incidents(id);
alter table billing_incident_notes add constraint billing_incident_notes_pkey PRIMARY KEY (id);
alter table billing_incidents add constraint billing_incidents_pkey PRIMARY KEY (id);
alter table billing_incidents add constraint billing_incidents_severity_check CHECK ((severity = ANY (ARRAY['info'::text, 'warning'::text, 'critical'::text])));
alter table billing_intents add constraint billing_intents_idempotency_key_key UNIQUE (idempotency_key);
alter table billing_intents add constraint billing_intents_pkey PRIMARY KEY (id);
alter table billing_intents add constraint billing_intents_state_check CHECK ((state = ANY (ARRAY['pending'::text, 'done'::text, 'failed'::text])));
alter table billing_invoice_plan_lines add constraint billing_invoice_plan_lines_amount_minor_check CHECK ((amount_minor <> 0));
alter table billing_invoice_plan_lines add constraint billing_invoice_plan_lines_operation_fkey FOREIGN KEY (operation) REFERENCES billing_invoice_plans(operation);
alter table billing_invoice_plan_lines add constraint billing_invoice_plan_lines_pkey PRIMARY KEY (operation, line);
alter table billing_invoice_plans add constraint billing_invoice_plans_operation_key UNIQUE (operation);
alter table billing_invoice_plans add constraint billing_invoice_plans_pkey PRIMARY KEY (user_id, period_start, period_end, livemode, revision);
alter table billing_invoice_plans add constraint billing_invoice_plans_revision_check CHECK ((revision > 0));
alter table billing_invoices add constraint billing_invoices_pkey PRIMARY KEY (invoice_id);
alter table billing_jobs add constraint billing_jobs_pkey PRIMARY KEY (id);
alter table billing_jobs add constraint billing_jobs_state_check CHECK ((state = ANY (ARRAY['queued'::text, 'running'::text, 'succeeded'::text, 'failed'::text, 'cleared'::text])));
alter table billing_mail_events add constraint billing_mail_events_message_fkey FOREIGN KEY (message) REFERENCES billing_notifications(id) ON DELETE CASCADE;
alter table billing_mail_events add constraint billing_mail_events_pkey PRIMARY KEY (id);
alter table billing_mail_events add constraint billing_mail_events_what_check CHECK ((what = ANY (ARRAY['attempt'::text, 'sent'::text, 'delayed'::text, 'failed'::text, 'bounced'::text, 'suppressed'::text, 'delivered'::text, 'complained'::text, 'unsubscribed'::text, 'resent'::text])));
alter table billing_mail_suppressions add constraint billing_mail_suppressions_pkey PRIMARY KEY (address);
alter table billing_mail_suppressions add constraint billing_mail_suppressions_reason_check CHECK ((reason = ANY (ARRAY['bounced'::text, 'complained'::text, 'unsubscribed'::text])));
alter table billing_measured add constraint billing_measured_pkey PRIMARY KEY (name, labels);
alter table billing_measurements add constraint billing_measurements_pkey PRIMARY KEY (at, width, name, labels);
alter table billing_metric_periods add constraint billing_metric_periods_pkey PRIMARY KEY (period_start, metric_type);
alter table billing_mrr add constraint billing_mrr_mrr_minor_check CHECK ((mrr_minor >= 0));
alter table billing_mrr add constraint billing_mrr_pkey PRIMARY KEY (note, at);
alter table billing_mrr_due add constraint billing_mrr_due_pkey PRIMARY KEY (id);
alter table billing_notifications add constraint billing_notifications_channel_check CHECK ((channel = ANY (ARRAY['mail'::text, 'webhook'::text])));
alter table billing_notifications add constraint billing_notifications_pkey PRIMARY KEY (id);
alter table billing_notifications add constraint billing_notifications_state_check CHECK ((state = ANY (ARRAY['queued'::text, 'sent'::text, 'failed'::text, 'bounced'::text, 'suppressed'::text])));
alter table billing_object_changes add constraint billing_object_changes_pkey PRIMARY KEY (id);
alter table billing_object_changes add constraint billing_object_changes_what_check CHECK ((what = ANY (ARRAY['created'::text, 'updated'::text, 'deleted'::text])));
alter table billing_objects add constraint billing_objects_pkey PRIMARY KEY (kind, object_id);
alter table billing_operations add constraint billing_operations_pkey PRIMARY KEY (id);
alter table billing_operations add constraint billing_operations_state_check CHECK ((state = ANY (ARRAY['queued'::text, 'running'::text, 'done'::text, 'failed'::text])));
alter table billing_operator_links add constraint billing_operator_links_name_fkey FOREIGN KEY (name) REFERENCES billing_operators(name) ON DELETE CASCADE;
alter table billing_operator_links add constraint billing_operator_links_pkey PRIMARY KEY (hash);
alter table billing_operator_sessions add constraint billing_operator_sessions_name_fkey FOREIGN KEY (name) REFERENCES billing_operators(name) ON DELETE CASCADE;
alter table billing_operator_sessions add constraint billing_operator_sessions_pkey PRIMARY KEY (hash);
alter table billing_operators add constraint billing_operators_check CHECK (((password IS NULL) = (totp IS NULL)));
alter table billing_operators add constraint billing_operators_name_check CHECK ((name ~ '^[a-z0-9][a-z0-9._@+-]{0,99}$'::text));
alter table billing_operators add constraint billing_operators_pkey PRIMARY KEY (name);
alter table billing_operators add constraint billing_operators_role_check CHECK ((role = ANY (ARRAY['owner'::text, 'operator'::text, 'support'::text, 'read-only'::text])));
alter table billing_overage_updates add constraint billing_overage_updates_pkey PRIMARY KEY (id);
alter table billing_page_links add constraint billing_page_links_pkey PRIMARY KEY (hash);
alter table billing_page_links add constraint billing_page_links_user_id_check CHECK ((user_id <> ''::text));
alter table billing_performance_looks add constraint billing_performance_looks_pkey PRIMARY KEY (at);
alter table billing_plan_quotas add constraint billing_plan_quotas_limit_value_check CHECK ((limit_value >= '-1'::integer));
alter table billing_plan_quotas add constraint billing_plan_quotas_mode_check CHECK ((mode = ANY (ARRAY['hard'::text, 'soft'::text, 'overage'::text])));
alter table billing_plan_quotas add constraint billing_plan_quotas_period_check CHECK ((period = ANY (ARRAY['hour'::text, 'day'::text, 'week'::text, 'month'::text, 'year'::text, 'billing'::text])));
alter table billing_plan_quotas add constraint billing_plan_quotas_pkey PRIMARY KEY (plan, metric_type);
alter table billing_quota_blocks add constraint billing_quota_blocks_pkey PRIMARY KEY (user_id, metric_type);
alter table billing_quota_counters add constraint billing_quota_counters_pkey PRIMARY KEY (user_id, metric_type, window_start);
alter table billing_quota_notices add constraint billing_quota_notices_pkey PRIMARY KEY (user_id, metric_type, window_start, threshold);
alter table billing_quota_overrides add constraint billing_quota_overrides_extra_check CHECK ((extra >= 0));
alter table billing_quota_overrides add constraint billing_quota_overrides_pkey PRIMARY KEY (user_id, metric_type);
alter table billing_quota_reservations add constraint billing_quota_reservations_pkey PRIMARY KEY (user_id, reservation_id);
alter table billing_quota_reservations add constraint billing_quota_reservations_state_check CHECK ((state = ANY (ARRAY['held'::text, 'expired'::text, 'committed'::text, 'released'::text])));
alter table billing_quota_resets add constraint billing_quota_resets_pkey PRIMARY KEY (user_id, metric_type, reset_at);
alter table billing_quotas add constraint billing_quotas_limit_value_check CHECK ((limit_value >= '-1'::integer));
alter table billing_quotas add constraint billing_quotas_mode_check CHECK ((mode = ANY (ARRAY['hard'::text, 'soft'::text, 'overage'::text])));
alter table billing_quotas add constraint billing_quotas_period_check CHECK ((period = ANY (ARRAY['hour'::text, 'day'::text, 'week'::text, 'month'::text, 'year'::text, 'billing'::text])));
alter table billing_quotas add constraint billing_quotas_pkey PRIMARY KEY (user_id, metric_type);
alter table billing_seed_runs add constraint billing_seed_runs_pkey PRIMARY KEY (id);
alter table billing_service_interruptions add constraint billing_service_interruptions_kind_check CHECK ((kind = ANY (ARRAY['database'::text, 'frozen'::text])));
alter table billing_service_interruptions add constraint billing_service_interruptions_pkey PRIMARY KEY (run, began_at, kind);
alter table billing_service_memory add constraint billing_service_memory_pkey PRIMARY KEY (run, at);
alter table billing_service_runs add constraint billing_service_runs_ended_check CHECK ((ended = ANY (ARRAY['stopped'::text, 'restarted'::text, 'terminated'::text, 'killed'::text, 'machine'::text])));
alter table billing_service_runs add constraint billing_service_runs_pkey PRIMARY KEY (run);
alter table billing_subscription_requests add constraint billing_subscription_requests_pkey PRIMARY KEY (id);
alter table billing_sync_differences add constraint billing_sync_differences_action_check CHECK ((action = ANY (ARRAY['import'::text, 'update'::text, 'mark deleted'::text, 'none'::text])));
alter table billing_sync_differences add constraint billing_sync_differences_pkey PRIMARY KEY (run_id, kind, object_id);
alter table billing_sync_differences add constraint billing_sync_differences_run_id_fkey FOREIGN KEY (run_id) REFERENCES billing_sync_runs(id);
alter table billing_sync_differences add constraint billing_sync_differences_state_check CHECK ((state = ANY (ARRAY['open'::text, 'healed'::text, 'refused'::text])));
alter table billing_sync_runs add constraint billing_sync_runs_pkey PRIMARY KEY (id);
alter table billing_sync_runs add constraint billing_sync_runs_purpose_check CHECK ((purpose = ANY (ARRAY['reconcile'::text, 'sync'::text, 'compare'::text, 'auto'::text])));
alter table billing_sync_runs add constraint billing_sync_runs_state_check CHECK ((state = ANY (ARRAY['running'::text, 'done'::text, 'stopped'::text])));
alter table billing_usage add constraint billing_usage_pkey PRIMARY KEY (user_id, created_at, idempotency_key);
alter table billing_usage add constraint billing_usage_value_check CHECK ((value >= 0));
alter table billing_usage_adjustments add constraint billing_usage_adjustments_kind_check CHECK ((kind = ANY (ARRAY['void'::text, 'duplicate'::text, 'correct'::text])));
alter table billing_usage_adjustments add constraint billing_usage_adjustments_pkey PRIMARY KEY (user_id, idempotency_key, revision);
alter table billing_usage_adjustments add constraint billing_usage_adjustments_revision_check CHECK ((revision > 0));
alter table billing_usage_adjustments add constraint billing_usage_adjustments_value_check CHECK ((value >= 0));
alter table billing_usage_archive_log add constraint billing_usage_archive_log_pkey PRIMARY KEY (id);
alter table billing_usage_archive_owner add constraint billing_usage_archive_owner_one_check CHECK (one);
alter table billing_usage_archive_owner add constraint billing_usage_archive_owner_pkey PRIMARY KEY (one);
alter table billing_usage_archives add constraint billing_usage_archives_pkey PRIMARY KEY (id);
alter table billing_usage_archives add constraint billing_usage_archives_state_check CHECK ((state = ANY (ARRAY['writing'::text, 'verified'::text, 'dropped'::text, 'abandoned'::text])));
alter table billing_usage_deltas add constraint billing_usage_deltas_pkey PRIMARY KEY (user_id, metric_type, hour, id);
alter table billing_usage_folds add constraint billing_usage_folds_pkey PRIMARY KEY (shard);
alter table billing_usage_imports add constraint billing_usage_imports_pkey PRIMARY KEY (source);
alter table billing_usage_intake add constraint billing_usage_intake_pkey PRIMARY KEY (id);
alter table billing_usage_keys add constraint billing_usage_keys_pkey PRIMARY KEY (user_id, idempotency_key);
alter table billing_usage_reconstructions add constraint billing_usage_reconstructions_pkey PRIMARY KEY (id);
alter table billing_usage_recounts add constraint billing_usage_recounts_one_check CHECK (one);
alter table billing_usage_recounts add constraint billing_usage_recounts_pkey PRIMARY KEY (one);
alter table billing_usage_refusals add constraint billing_usage_refusals_pkey PRIMARY KEY (origin, number);
alter table billing_usage_rejected add constraint billing_usage_rejected_pkey PRIMARY KEY (id);
alter table billing_usage_rollups add constraint billing_usage_rollups_pkey PRIMARY KEY (user_id, metric_type, hour);
alter table billing_usage_share_counts add constraint billing_usage_share_counts_pkey PRIMARY KEY (period_start, metric_type, dimension);
alter table billing_usage_shares add constraint billing_usage_shares_pkey PRIMARY KEY (period_start, metric_type, dimension, place);
alter table billing_usage_spools add constraint billing_usage_spools_pkey PRIMARY KEY (spool);
alter table billing_usage_terms add constraint billing_usage_terms_pkey PRIMARY KEY (month);
alter table billing_usage_totals add constraint billing_usage_totals_pkey PRIMARY KEY (hour, metric_type, shard);
alter table billing_webhook_events add constraint billing_webhook_events_pkey PRIMARY KEY (id);
alter table billing_webhook_events add constraint billing_webhook_events_source_check CHECK ((source = ANY (ARRAY['delivery'::text, 'poll'::text])));
alter table billing_webhook_events add constraint billing_webhook_events_status_check CHECK ((status = ANY (ARRAY['received'::text, 'processed'::text, 'failed'::text, 'failed_permanent'::text, 'duplicate'::text, 'ignored'::text, 'parked'::text])));
alter table billing_webhook_objects add constraint billing_webhook_objects_pkey PRIMARY KEY (object_id);
alter table billing_webhook_polls add constraint billing_webhook_polls_check CHECK (((page_after IS NULL) = (page_newest IS NULL)));
alter table billing_webhook_polls add constraint billing_webhook_polls_pkey PRIMARY KEY (livemode);
alter table billing_webhook_refusals add constraint billing_webhook_refusals_pkey PRIMARY KEY (id);

CREATE INDEX billing_api_keys_created ON billing.billing_api_keys USING btree (created_at, key_id);
CREATE INDEX billing_audit_at ON billing.billing_audit USING btree (at);
CREATE INDEX billing_change_previews_newest ON billing.billing_change_previews USING btree (subscription_id, made_at);
CREATE INDEX billing_charges_created ON billing.billing_charges USING btree (created_at);
CREATE INDEX billing_charges_customer_id_created_at_idx ON billing.billing_charges USING btree (customer_id, created_at);
CREATE INDEX billing_charges_failed ON billing.billing_charges USING btree (created_at) WHERE (status = 'failed'::text);
CREATE INDEX billing_charges_failed_method ON billing.billing_charges USING btree (((snapshot ->> 'payment_method'::text))) WHERE (status = 'failed'::text);
CREATE INDEX billing_comps_subscription ON billing.billing_comps USING btree (subscription_id, until);
CREATE INDEX billing_credit_notes_created_at_idx ON billing.billing_credit_notes USING btree (created_at);
CREATE INDEX billing_credit_notes_customer_id_created_at_idx ON billing.billing_credit_notes USING btree (customer_id, created_at);
CREATE INDEX billing_customers_claims ON billing.billing_customers USING btree ((((snapshot -> 'metadata'::text) ->> 'nself_user'::text))) WHERE ((user_id IS NULL) AND (NOT deleted));
CREATE INDEX billing_customers_created ON billing.billing_customers USING btree (created_at DESC, customer_id) INCLUDE (livemode, deleted, found_by);
CREATE INDEX billing_customers_of_user ON billing.billing_customers USING btree (user_id);
CREATE INDEX billing_customers_tax_id_unverified ON billing.billing_customers USING btree (customer_id) WHERE ((snapshot @? '$."tax_ids"."data"[*]."verification"."status"?(@ == "unverified")'::jsonpath) AND (NOT deleted));
CREATE UNIQUE INDEX billing_customers_user ON billing.billing_customers USING btree (user_id, livemode) WHERE (NOT deleted);
CREATE INDEX billing_disputes_created_at_idx ON billing.billing_disputes USING btree (created_at);
CREATE INDEX billing_disputes_customer_id_created_at_idx ON billing.billing_disputes USING btree (customer_id, created_at);
CREATE INDEX billing_document_files_warned ON billing.billing_document_files USING btree (made_at) WHERE (warnings <> '{}'::text[]);
CREATE INDEX billing_documents_due ON billing.billing_documents USING btree (due_at) WHERE (state = ANY (ARRAY['queued'::text, 'running'::text]));
CREATE INDEX billing_documents_failed ON billing.billing_documents USING btree (invoice_id) WHERE (error_code IS NOT NULL);
CREATE INDEX billing_incident_notes_incident ON billing.billing_incident_notes USING btree (incident_id, id);
CREATE INDEX billing_incidents_open ON billing.billing_incidents USING btree (opened_at) WHERE (closed_at IS NULL);
CREATE INDEX billing_intents_due ON billing.billing_intents USING btree (next_at) WHERE (state = 'pending'::text);
CREATE INDEX billing_intents_object ON billing.billing_intents USING btree (object_id) WHERE (object_id IS NOT NULL);
CREATE INDEX billing_intents_operation ON billing.billing_intents USING btree (operation, id);
CREATE INDEX billing_intents_queue ON billing.billing_intents USING btree (id) WHERE ((state = 'pending'::text) AND (queued_at IS NOT NULL));
CREATE UNIQUE INDEX billing_intents_once ON billing.billing_intents USING btree (operation, livemode, step) WHERE (state <> 'failed'::text);
CREATE INDEX billing_invoice_plans_invoice ON billing.billing_invoice_plans USING btree (invoice_id);
CREATE INDEX billing_invoices_created ON billing.billing_invoices USING btree (created_at);
CREATE INDEX billing_invoices_customer ON billing.billing_invoices USING btree (customer_id, created_at);
CREATE INDEX billing_invoices_drafts ON billing.billing_invoices USING btree (created_at) WHERE ((status = 'draft'::text) AND (NOT deleted));
CREATE INDEX billing_invoices_open ON billing.billing_invoices USING btree (created_at) WHERE ((status = 'open'::text) AND (NOT deleted));
CREATE INDEX billing_invoices_paid ON billing.billing_invoices USING btree (paid_at) WHERE ((status = 'paid'::text) AND (NOT deleted));
CREATE UNIQUE INDEX billing_jobs_one ON billing.billing_jobs USING btree (type) WHERE (state = ANY (ARRAY['queued'::text, 'running'::text]));
CREATE INDEX billing_mail_events_attempts ON billing.billing_mail_events USING btree (at) WHERE (what = 'attempt'::text);
CREATE INDEX billing_mail_events_message ON billing.billing_mail_events USING btree (message, id);
CREATE INDEX billing_mrr_customer ON billing.billing_mrr USING btree (customer_id, livemode);
CREATE INDEX billing_mrr_doubtful ON billing.billing_mrr USING btree (subscription_id) WHERE (doubt IS NOT NULL);
CREATE INDEX billing_mrr_subscription ON billing.billing_mrr USING btree (subscription_id, note);
CREATE INDEX billing_mrr_due_subscription ON billing.billing_mrr_due USING btree (subscription_id);
CREATE INDEX billing_notifications_due ON billing.billing_notifications USING btree (due_at) WHERE (state = 'queued'::text);
CREATE INDEX billing_notifications_newest ON billing.billing_notifications USING btree (created_at);
CREATE UNIQUE INDEX billing_notifications_once ON billing.billing_notifications USING btree (once, channel) WHERE (once IS NOT NULL);
CREATE INDEX billing_object_changes_mode ON billing.billing_object_changes USING btree (livemode, id);
CREATE INDEX billing_object_changes_object ON billing.billing_object_changes USING btree (object_id, id);
CREATE INDEX billing_objects_created ON ONLY billing.billing_objects USING btree (created_at);
CREATE INDEX billing_objects_customer ON ONLY billing.billing_objects USING btree (customer_id, created_at);
CREATE UNIQUE INDEX billing_operations_once ON billing.billing_operations USING btree (use, given, livemode) WHERE (state = ANY (ARRAY['queued'::text, 'running'::text]));
CREATE INDEX billing_operator_links_name ON billing.billing_operator_links USING btree (name);
CREATE INDEX billing_operator_sessions_expires ON billing.billing_operator_sessions USING btree (expires_at);
CREATE INDEX billing_operator_sessions_name ON billing.billing_operator_sessions USING btree (name);
CREATE INDEX billing_overage_updates_newest ON billing.billing_overage_updates USING btree (user_id, livemode, metric_type, period_start, period_end, id);
CREATE INDEX billing_page_links_expires ON billing.billing_page_links USING btree (expires_at);
CREATE INDEX billing_page_links_user ON billing.billing_page_links USING btree (user_id);
CREATE INDEX billing_payment_methods_created_at_idx ON billing.billing_payment_methods USING btree (created_at);
CREATE INDEX billing_payment_methods_customer_id_created_at_idx ON billing.billing_payment_methods USING btree (customer_id, created_at);
CREATE INDEX billing_payments_asked ON billing.billing_payments USING btree (created_at) WHERE (status = 'requires_action'::text);
CREATE INDEX billing_payments_created_at_idx ON billing.billing_payments USING btree (created_at);
CREATE INDEX billing_payments_customer_id_created_at_idx ON billing.billing_payments USING btree (customer_id, created_at);
CREATE INDEX billing_payments_failed ON billing.billing_payments USING btree (created_at) WHERE (((snapshot -> 'last_payment_error'::text) ->> 'code'::text) IS NOT NULL);
CREATE INDEX billing_prices_created_at_idx ON billing.billing_prices USING btree (created_at);
CREATE INDEX billing_prices_customer_id_created_at_idx ON billing.billing_prices USING btree (customer_id, created_at);
CREATE INDEX billing_products_created_at_idx ON billing.billing_products USING btree (created_at);
CREATE INDEX billing_products_customer_id_created_at_idx ON billing.billing_products USING btree (customer_id, created_at);
CREATE INDEX billing_quota_reservations_held ON billing.billing_quota_reservations USING btree (user_id, metric_type, expires_at) WHERE (state = 'held'::text);
CREATE INDEX billing_refunds_charge ON billing.billing_refunds USING btree (((snapshot ->> 'charge'::text)));
CREATE INDEX billing_refunds_created ON billing.billing_refunds USING btree (created_at);
CREATE INDEX billing_refunds_customer_id_created_at_idx ON billing.billing_refunds USING btree (customer_id, created_at);
CREATE INDEX billing_service_memory_at ON billing.billing_service_memory USING btree (at);
CREATE INDEX billing_service_runs_service ON billing.billing_service_runs USING btree (service, last_seen_at);
CREATE INDEX billing_subscription_requests_failed ON billing.billing_subscription_requests USING btree (made_at) WHERE (failure IS NOT NULL);
CREATE INDEX billing_subscription_requests_made ON billing.billing_subscription_requests USING btree (made_at);
CREATE INDEX billing_subscription_requests_subscription ON billing.billing_subscription_requests USING btree (subscription_id, made_at);
CREATE INDEX billing_subscription_requests_trials ON billing.billing_subscription_requests USING btree (trial_end) WHERE (trial_end IS NOT NULL);
CREATE INDEX billing_subscriptions_customer_id_created_at_idx ON billing.billing_subscriptions USING btree (customer_id, created_at);
CREATE INDEX billing_subscriptions_newest ON billing.billing_subscriptions USING btree (created_at);
CREATE INDEX billing_subscriptions_trial_start ON billing.billing_subscriptions USING btree ((((snapshot ->> 'trial_start'::text))::bigint)) WHERE ((snapshot ->> 'trial_start'::text) IS NOT NULL);
CREATE INDEX billing_subscriptions_trials ON billing.billing_subscriptions USING btree ((((snapshot ->> 'trial_end'::text))::bigint), object_id) WHERE ((status = 'trialing'::text) AND (NOT deleted));
CREATE INDEX billing_sync_differences_object ON billing.billing_sync_differences USING btree (object_id, run_id);
CREATE INDEX billing_sync_runs_newest ON billing.billing_sync_runs USING btree (purpose, id);
CREATE INDEX billing_tax_rates_created_at_idx ON billing.billing_tax_rates USING btree (created_at);
CREATE INDEX billing_tax_rates_customer_id_created_at_idx ON billing.billing_tax_rates USING btree (customer_id, created_at);
CREATE INDEX billing_usage_recorded ON ONLY billing.billing_usage USING brin (recorded_at) WITH (pages_per_range='16');
CREATE UNIQUE INDEX billing_usage_adjustments_standing ON billing.billing_usage_adjustments USING btree (user_id, idempotency_key) WHERE (superseded_at IS NULL);
CREATE UNIQUE INDEX billing_usage_archives_one ON billing.billing_usage_archives USING btree (month) WHERE (state = ANY (ARRAY['writing'::text, 'verified'::text]));
CREATE INDEX billing_webhook_events_copies ON billing.billing_webhook_events USING btree (event_id) WHERE (status = 'duplicate'::text);
CREATE INDEX billing_webhook_events_failed ON billing.billing_webhook_events USING btree (id) WHERE (status = ANY (ARRAY['failed'::text, 'failed_permanent'::text, 'parked'::text]));
CREATE INDEX billing_webhook_events_object ON billing.billing_webhook_events USING btree (object_id, id);
CREATE INDEX billing_webhook_events_open ON billing.billing_webhook_events USING btree (object_id, id) WHERE (status = ANY (ARRAY['received'::text, 'failed'::text]));
CREATE INDEX billing_webhook_events_received ON billing.billing_webhook_events USING btree (received_at);
CREATE UNIQUE INDEX billing_webhook_events_once ON billing.billing_webhook_events USING btree (event_id) WHERE (status <> 'duplicate'::text);
CREATE INDEX billing_webhook_objects_due ON billing.billing_webhook_objects USING btree (next_at) WHERE (next_at IS NOT NULL);

create view billing_mirror as
 SELECT 'customer'::text AS kind,
    billing_customers.customer_id AS object_id,
    billing_customers.livemode,
    billing_customers.deleted,
    billing_customers.customer_id,
    NULL::text AS status,
    billing_customers.snapshot,
    billing_customers.snapshot_number,
    billing_customers.source,
    billing_customers.api_version,
    billing_customers.digest,
    billing_customers.created_at,
    billing_customers.synced_at
   FROM billing_customers
UNION ALL
 SELECT 'invoice'::text AS kind,
    billing_invoices.invoice_id AS object_id,
    billing_invoices.livemode,
    billing_invoices.deleted,
    billing_invoices.customer_id,
    billing_invoices.status,
    billing_invoices.snapshot,
    billing_invoices.snapshot_number,
    billing_invoices.source,
    billing_invoices.api_version,
    billing_invoices.digest,
    billing_invoices.created_at,
    billing_invoices.synced_at
   FROM billing_invoices
UNION ALL
 SELECT billing_objects.kind,
    billing_objects.object_id,
    billing_objects.livemode,
    billing_objects.deleted,
    billing_objects.customer_id,
    billing_objects.status,
    billing_objects.snapshot,
    billing_objects.snapshot_number,
    billing_objects.source,
    billing_objects.api_version,
    billing_objects.digest,
    billing_objects.created_at,
    billing_objects.synced_at
   FROM billing_objects;

create view billing_mrr_changes as
 SELECT note,
    at,
    subscription_id,
    customer_id,
    livemode,
    currency,
    seen_at,
    first,
    mrr_minor,
    parts,
    doubt,
    (mrr_minor - COALESCE(lag(mrr_minor) OVER (PARTITION BY livemode, customer_id, subscription_id ORDER BY note, at), (0)::bigint)) AS change_minor
   FROM ( SELECT billing_mrr.note,
            billing_mrr.at,
            billing_mrr.subscription_id,
            billing_mrr.customer_id,
            billing_mrr.livemode,
            billing_mrr.currency,
            billing_mrr.noted_at,
            billing_mrr.seen_at,
            billing_mrr.first,
            billing_mrr.mrr_minor,
            billing_mrr.parts,
            billing_mrr.doubt,
            min(billing_mrr.noted_at) OVER (PARTITION BY billing_mrr.livemode, billing_mrr.customer_id, billing_mrr.subscription_id ORDER BY billing_mrr.note GROUPS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING) AS replaced_at
           FROM billing_mrr) noted
  WHERE ((replaced_at IS NULL) OR (at < replaced_at));

create view billing_transactions as
 SELECT billing_charges.object_id AS id,
    'charge'::text AS kind,
    billing_charges.livemode,
    billing_charges.customer_id,
    ((billing_charges.snapshot ->> 'amount_captured'::text))::bigint AS amount_minor,
    (billing_charges.snapshot ->> 'currency'::text) AS currency,
    billing_charges.status,
    billing_charges.object_id AS charge,
    (billing_charges.snapshot ->> 'payment_intent'::text) AS payment_intent,
    (billing_charges.snapshot ->> 'description'::text) AS description,
    billing_charges.created_at
   FROM billing_charges
  WHERE (((billing_charges.snapshot ->> 'amount_captured'::text))::bigint > 0)
UNION ALL
 SELECT refund.object_id AS id,
    'refund'::text AS kind,
    refund.livemode,
    charge.customer_id,
    (- ((refund.snapshot ->> 'amount'::text))::bigint) AS amount_minor,
    (refund.snapshot ->> 'currency'::text) AS currency,
    refund.status,
    (refund.snapshot ->> 'charge'::text) AS charge,
    (refund.snapshot ->> 'payment_intent'::text) AS payment_intent,
    COALESCE(((refund.snapshot -> 'metadata'::text) ->> 'nself_reason'::text), (refund.snapshot ->> 'reason'::text)) AS description,
    refund.created_at
   FROM (billing_refunds refund
     LEFT JOIN billing_charges charge ON ((charge.object_id = (refund.snapshot ->> 'charge'::text))))
  WHERE (refund.status <> ALL (ARRAY['failed'::text, 'canceled'::text]))
UNION ALL
 SELECT (entry.value ->> 'id'::text) AS id,
    'dispute'::text AS kind,
    dispute.livemode,
    charge.customer_id,
    ((entry.value ->> 'amount'::text))::bigint AS amount_minor,
    (entry.value ->> 'currency'::text) AS currency,
    dispute.status,
    (dispute.snapshot ->> 'charge'::text) AS charge,
    (dispute.snapshot ->> 'payment_intent'::text) AS payment_intent,
    (dispute.snapshot ->> 'reason'::text) AS description,
    to_timestamp((((entry.value ->> 'created'::text))::bigint)::double precision) AS created_at
   FROM ((billing_disputes dispute
     CROSS JOIN LATERAL jsonb_array_elements((dispute.snapshot -> 'balance_transactions'::text)) entry(value))
     LEFT JOIN billing_charges charge ON ((charge.object_id = (dispute.snapshot ->> 'charge'::text))));

create view billing_usage_counted as
 SELECT event.user_id,
    event.metric_type,
    COALESCE(adjustment.value, event.value) AS value,
    event.created_at,
    event.idempotency_key,
    event.properties,
    event.source,
    event.recorded_at,
    event.dimensions
   FROM (billing_usage event
     LEFT JOIN billing_usage_adjustments adjustment ON (((adjustment.user_id = event.user_id) AND (adjustment.idempotency_key = event.idempotency_key) AND (adjustment.superseded_at IS NULL))))
  WHERE (adjustment.counts IS NOT FALSE);
