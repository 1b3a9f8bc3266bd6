"""Every setting, declared once: type, default, unit, help and effect."""

from __future__ import annotations

from typing import Literal, NamedTuple

Kind = Literal[
    "text", "integer", "flag", "duration", "size", "share", "choice", "zone", "currency", "secret", "percents", "url",
    "amounts", "networks", "roles",
]  # fmt: skip
YEAR, LONGEST_STATEMENT = 366 * 86_400, 24 * 86_400
"""The longest duration of a setting, and of one that PostgreSQL takes in milliseconds of 32 bits."""


class Setting(NamedTuple):
    """One declaration; `minimum` and `maximum` of a duration in seconds. `effect` says what changes."""

    name: str
    kind: Kind
    default: str
    effect: str
    choices: tuple[str, ...] = ()
    minimum: int | None = None
    maximum: int | None = None
    zero: bool = True
    """Whether a duration or size may be 0."""


STRIPES_NETWORKS = (
    "3.18.12.63,3.130.192.231,13.235.14.237,13.235.122.149,18.211.135.69,35.154.171.200,52.15.183.38,54.88.130.119,"
    "54.88.130.237,54.187.174.169,54.187.205.235,54.187.216.72"
)

DECLARED: tuple[Setting, ...] = (
    # Stripe
    Setting("STRIPE_MODE", "choice", "test", "which of Stripe's two modes this project works in", ("test", "live")),
    Setting("STRIPE_SECRET_KEY", "secret", "", "authenticates calls to Stripe; sk_test_, rk_test_, sk_live_ or rk_live_"),
    Setting("STRIPE_PUBLISHABLE_KEY", "text", "", "handed to the app's front end; never used for calls by nself"),
    Setting("STRIPE_WEBHOOK_SECRET", "secret", "", "verifies webhooks; several, comma separated, while one is being replaced"),
    Setting("STRIPE_API_BASE", "text", "https://api.stripe.com", "where calls to Stripe go, without /v1; http://localhost:12111 is the sandbox on STRIPE_MOCK_PORT while STRIPE_MOCK_ENABLED is true"),
    Setting("STRIPE_MOCK_ENABLED", "flag", "false", "send calls to the sandbox (service stripe-mock) instead of Stripe"),
    Setting("STRIPE_MOCK_PORT", "integer", "12111", "port of the sandbox on the loopback interface", minimum=1, maximum=65535),
    Setting("STRIPE_MOCK_TRAFFIC", "text", "", "file to which the sandbox appends each call and each event that it sends, one JSON line each; empty = none"),
    Setting("STRIPE_MAX_RETRIES", "integer", "3", "how often a call to Stripe is tried again after 409, 429, 5xx or no answer", minimum=0),
    Setting("STRIPE_RETRY_BACKOFF", "choice", "exponential", "how the wait between two tries grows", ("exponential", "linear", "constant")),
    Setting("STRIPE_TIMEOUT", "duration", "15s", "longest wait for one answer of Stripe"),
    Setting("STRIPE_BREAKER_FAILURES", "integer", "5", "calls in a row without an answer of Stripe after which a process asks only now and then, to see; 0 = it always asks", minimum=0),
    Setting("STRIPE_RATE_LIMIT", "integer", "0", "calls a second that Stripe allows; 0 = 25 in test mode, 100 in live mode", minimum=0),
    Setting("STRIPE_RATE_LIMIT_BUFFER", "share", "0.8", "share of the rate limit that all processes together use"),
    Setting("STRIPE_BATCH_SIZE", "integer", "100", "objects a page when much is read from Stripe (1 to 100); also batch_size in stripe.yml", minimum=1),
    Setting("STRIPE_ENABLE_CACHE", "flag", "false", "look up prices, products and tax rates in a cache that all processes share: a table of PostgreSQL, or Redis where REDIS_URL is set; nothing of customers is in it, and what nself changes or Stripe tells of is new at once"),
    Setting("STRIPE_CACHE_TTL", "duration", "300", "how long such an object is kept", zero=False),
    Setting("REDIS_URL", "secret", "", "Redis for that cache, like redis://127.0.0.1:6379/0; needs the extra `redis`; empty = PostgreSQL"),
    Setting("STRIPE_BATCH_REQUESTS", "flag", "true", "with the cache on, the first look-up of a kind reads a hundred of them in one call"),
    Setting("STRIPE_PRORATION_BEHAVIOR", "choice", "create_prorations", "what a change in mid-period costs: create_prorations = the difference, with the next invoice; always_invoice = at once; none = nothing", ("create_prorations", "none", "always_invoice")),
    Setting("STRIPE_TAX_CALCULATION", "choice", "off", "who computes tax on invoices made here: automatic = Stripe, from the customer's address; rates = STRIPE_TAX_RATES; off = nobody", ("off", "automatic", "rates")),
    Setting("STRIPE_TAX_RATES", "text", "", "Stripe's tax rates (txr_…, comma separated) of invoices made here, where STRIPE_TAX_CALCULATION is rates"),
    Setting("STRIPE_ENABLE_IP_WHITELIST", "flag", "false", "local policy: webhooks are taken from STRIPE_WEBHOOK_NETWORKS alone, and from this machine where the sandbox is used; signatures are asked for all the same. It restricts no key: allowed addresses of keys are set in Stripe's Dashboard"),
    Setting("STRIPE_WEBHOOK_NETWORKS", "networks", STRIPES_NETWORKS, "addresses that webhooks come from, comma separated; Stripe publishes its own at https://stripe.com/files/ips/ips_webhooks.txt"),
    Setting("BILLING_TRUSTED_PROXIES", "networks", "127.0.0.1", "proxies whose X-Forwarded-For tells where a request comes from"),
    Setting("BILLING_TERMINAL_ROLES", "roles", "", "who may what in the terminal, like `ada=owner bob=support *=read-only`, by login, behind sudo that of who asked; others may look; empty = whoever may run nself may everything"),
    Setting("STRIPE_REQUIRE_2FA", "flag", "false", "local policy: commands that move money have the operator type a number, without a terminal NSELF_CONFIRM=yes; no second factor at Stripe, which is set in its Dashboard"),
    # Service
    Setting("DATABASE_URL", "secret", "", "PostgreSQL to use instead of the embedded one"),
    Setting("BILLING_HOST", "text", "127.0.0.1", "address that the HTTP service listens on"),
    Setting("BILLING_PORT", "integer", "8080", "port that the HTTP service listens on", minimum=1, maximum=65535),
    Setting("BILLING_PUBLIC_URL", "text", "", "where browsers reach the HTTP service, like https://billing.example.com; empty = http://127.0.0.1 and BILLING_PORT"),
    Setting("BILLING_PAGE_EMBEDDERS", "text", "", "origins that may show a user's page in a frame, like https://app.example.com, with spaces between them; empty = none"),
    Setting("BILLING_ACCESS_LOG", "text", "/var/log/nginx/billing-access.log", "the web server's access log, read by `nself billing usage reconstruct --from-logs` with its rotated files; empty = none"),
    Setting("BILLING_LOG_LEVEL", "choice", "info", "least severe log line that is written", ("debug", "info", "warning", "error")),
    Setting("BILLING_LOG_DIR", "text", "", "folder of the log files; empty = .nself/logs. Where /var/log/nself exists and is writable, billing.log and billing-webhooks.log are written there too"),
    Setting("BILLING_TIMEZONE", "zone", "UTC", "where days and months begin"),
    Setting("BILLING_CURRENCY", "currency", "usd", "currency of prices that state none"),
    Setting("BILLING_DB_POOL_SIZE", "integer", "10", "most database connections of one process", minimum=1),
    Setting("BILLING_DB_POOL_TIMEOUT", "duration", "30s", "longest wait for a free connection", zero=False),
    Setting("DB_QUERY_TIMEOUT", "duration", "30s", "PostgreSQL cancels a statement that takes longer", maximum=LONGEST_STATEMENT),
    Setting("API_TIMEOUT", "duration", "60s", "longest time that one HTTP request may take", zero=False),
    Setting("API_MAX_BODY", "size", "16M", "largest HTTP request body that is read", zero=False),
    Setting("API_RATE_LIMIT", "integer", "0", "requests a second that one API key may make, beside those that record usage and ask for quota; 0 = no limit", minimum=0),
    Setting("API_METERING_RATE_LIMIT", "integer", "0", "requests a second in which one API key may record usage and ask for quota; 0 = no limit", minimum=0),
    Setting("BILLING_DRAIN_TIMEOUT", "duration", "30s", "how long stop and restart let a step finish"),
    Setting("BILLING_CANCELLATION_MODE", "choice", "at_period_end", "when a subscription that is canceled without a flag ends: with its period (can be undone until then) or now", ("at_period_end", "immediate")),
    Setting("BILLING_PREVIEW_LIFETIME", "duration", "15m", "how long a previewed change of a subscription can be applied as it was shown", zero=False),
    Setting("BILLING_MINIMUM_CHARGE", "amounts", "50", "least that an invoice asks for, in minor units: 50 (of BILLING_CURRENCY) or usd:50,eur:50,jpy:50; nothing and credits are left alone; 0 or empty = Stripe's own alone"),
    Setting("BILLING_MINIMUM_CHARGE_MODE", "choice", "carry_forward", "what becomes of an invoice that asks for less: carry_forward = owed with the next one, top_up = a line makes up for it, waive = nobody pays it", ("carry_forward", "top_up", "waive")),
    Setting("BILLING_OVERAGE_CAP", "amounts", "0", "`billing audit charges` finds invoices with more overage than that, in minor units: 50000 (of BILLING_CURRENCY) or usd:50000,eur:45000; 0 or empty = none"),
    Setting("BILLING_AUTO_PAYMENT", "flag", "true", "false: no invoice made here is paid by itself, its payment waits in the payment queue; what Stripe charges by itself: nself billing subscription pause-collection --all"),
    Setting("BILLING_AUTO_SYNC", "flag", "true", "look for events that never arrived, and compare with Stripe and heal, on an interval and when the services start"),
    Setting("BILLING_SYNC_INTERVAL", "duration", "5m", "that interval"),
    Setting("BILLING_SAFE_MODE", "flag", "false", "true: usage is recorded and webhooks are stored, but nobody is charged, nothing is changed at Stripe, no webhook processed, no mail sent"),
    Setting("BILLING_GRACEFUL_DEGRADATION", "flag", "false", "true: while Stripe is away reads answer from the mirror and say how old that is"),
    Setting("BILLING_QUEUE_PAYMENTS", "flag", "false", "true: payments are recorded and wait for nself billing process-queue; refunds do not wait"),
    Setting("BILLING_QUEUE_EXPIRY", "duration", "7d", "how old a payment of the queue may be to be still made", zero=False),
    Setting("BILLING_ASYNC_OPERATIONS", "flag", "false", "true: invoice generate of everybody's month, reconcile and archive-usage --execute answer at once and go on in the worker"),
    Setting("BILLING_USE_QUEUE", "flag", "true", "false: there is no queue of long operations, whoever asks for one waits for it (BILLING_ASYNC_OPERATIONS has no effect)"),
    Setting("BILLING_CACHE_ENABLED", "flag", "true", "remember API keys that were proven; false: the database is asked with each request, and while it is away nobody is let in. Files (metrics, plans, prices) are read again when they change, whatever this says"),
    Setting("BILLING_CACHE_TTL", "duration", "300", "how long an API key is remembered, at most 3 s: a revoked one must not live on (while the database is away: a day)"),
    Setting("BILLING_MEMORY_LIMIT", "size", "2G", "memory of one process of the services; one that takes more finishes its work and is started anew; 0 = no limit"),
    Setting("NODE_OPTIONS", "text", "", "none: the product is no Node program, and the setting is accepted because guides name it; memory is limited by BILLING_MEMORY_LIMIT"),
    Setting("BILLING_ALERT_EMAIL", "text", "", "operator's address that `nself alert send` mails, where MAIL_ENABLED; empty = nobody"),
    Setting("BILLING_ALERT_WEBHOOK_URL", "secret", "", "where `nself alert send` posts {\"text\": …}, as Slack, Mattermost and others take it; whoever has the address can post; empty = nowhere"),
    Setting("NGINX_ENABLED", "flag", "false", "`nself start` starts nginx too, where it is installed"),
    Setting("NGINX_PORT", "integer", "8443", "port that nginx listens on, on all addresses", minimum=1, maximum=65535),
    Setting("NGINX_TLS_CERTIFICATE", "text", "", "certificate chain (PEM) that nginx shows; with NGINX_TLS_KEY nginx speaks TLS, without plain HTTP"),
    Setting("NGINX_TLS_KEY", "text", "", "file of the certificate's private key (PEM)"),
    Setting("HTTP_PROXY", "text", "", "proxy for plain HTTP"),
    Setting("HTTPS_PROXY", "text", "", "proxy for calls to Stripe"),
    Setting("NO_PROXY", "text", "", "hosts that are reached without the proxy"),
    Setting("OTEL_EXPORTER_OTLP_ENDPOINT", "url", "", "OpenTelemetry collector that traces are sent to (OTLP over HTTP), like http://127.0.0.1:4318; needs the extra `otel`; empty = none"),
    Setting("OTEL_EXPORTER_OTLP_HEADERS", "secret", "", "headers that it asks for, like authorization=Bearer%20…, comma separated"),
    # Usage and quotas
    Setting("USAGE_AGGREGATION_INTERVAL", "duration", "5m", "how often the usage-collector folds new usage into rollups", zero=False),
    Setting("USAGE_MAX_BATCH", "integer", "10000", "most usage events in one request", minimum=1),
    Setting("USAGE_AGGREGATION_PARALLEL", "flag", "false", "several workers fold usage at once, each a shard of users on a database connection of its own"),
    Setting("USAGE_AGGREGATION_WORKERS", "integer", "4", "how many of them; more than the database's cores help nothing", minimum=1),
    Setting("USAGE_ENABLE_BUFFER", "flag", "true", "while the database takes no usage, keep it in .nself/spool on disk and count it when the database is back; false: such requests are answered with 503"),
    Setting("USAGE_BUFFER_SIZE", "integer", "10000", "most events kept there; what would be more is answered with 503 and code buffer_full", minimum=1),
    Setting("USAGE_PARTITIONS_AHEAD", "integer", "2", "months after this one whose partitions of raw usage are made ahead of time", minimum=1, maximum=24),
    Setting("BILLING_USAGE_RETENTION_DAYS", "integer", "0", "whole months of raw usage that ended this many days ago are archived and then dropped by scheduled work; rollups and keys stay; 0 = raw usage is kept", minimum=0),
    Setting("BILLING_USAGE_RETENTION_ARCHIVE", "flag", "true", "false: that work drops such months for good, without an archive"),
    Setting("ARCHIVE_S3_BUCKET", "text", "", "bucket of an S3-compatible store for archived usage"),
    Setting("ARCHIVE_S3_PREFIX", "text", "nself", "folder in that bucket; give each installation its own"),
    Setting("ARCHIVE_S3_ENDPOINT", "url", "", "address of the store, like https://minio.example.com:9000; empty = AWS"),
    Setting("ARCHIVE_S3_REGION", "text", "us-east-1", "region of the bucket"),
    Setting("ARCHIVE_S3_ACCESS_KEY_ID", "secret", "", "access key for the bucket"),
    Setting("ARCHIVE_S3_SECRET_ACCESS_KEY", "secret", "", "its secret"),
    Setting("ARCHIVE_S3_ENCRYPTION", "choice", "none", "encryption that the store is asked for", ("none", "AES256", "aws:kms")),
    Setting("ARCHIVE_S3_TIMEOUT", "duration", "60s", "longest wait for one answer of the store", zero=False),
    Setting("DB_LOCK_TIMEOUT", "duration", "3s", "longest wait for a lock that emptying an archived month takes", maximum=LONGEST_STATEMENT),
    Setting("BILLING_DEFAULT_PLAN", "choice", "free", "plan of users without a subscription in force, or with one that names no plan in `metadata.plan` of its price or product; none = such users have no access", ("free", "starter", "pro", "enterprise", "none")),
    Setting("QUOTA_ENFORCEMENT_ENABLED", "flag", "true", "false: a quota check allows everything and says so"),
    Setting("QUOTA_FAIL_MODE", "choice", "closed", "what becomes of quota requests while the database is away: closed = answered with 503, open = let through; what is reserved and committed then is kept in .nself/quota-journal and counted once when the database is back", ("closed", "open")),
    Setting("QUOTA_RESERVATION_TTL", "duration", "5m", "how long a reservation holds its part of a limit without a commit", zero=False),
    Setting("QUOTA_WARNING_THRESHOLDS", "percents", "50,80,100", "percents of a limit that are told once a period: by mail (MAIL_ENABLED), by webhook (NOTIFY_WEBHOOK_URL) and in the log"),
    Setting("BILLING_QUOTA_GRACE_PERIOD", "duration", "0", "how long a hard limit still allows after it was first passed in a period"),
    # Webhooks
    Setting("BILLING_WEBHOOK_SIGNATURE_TOLERANCE", "duration", "300", "largest difference between a signature's time and ours"),
    Setting("WEBHOOK_MAX_BODY", "size", "1M", "largest webhook body that is read", zero=False),
    Setting("WEBHOOK_TIMEOUT", "duration", "10s", "how long processing one event may take before it is given up and tried again later", zero=False),
    Setting("WEBHOOK_ASYNC_PROCESSING", "flag", "true", "answer before processing; false, in test mode only: an event is processed before the answer"),
    Setting("WEBHOOK_USE_QUEUE", "flag", "true", "leave processing to the worker; false, in test mode only: the HTTP service does it right after its answer"),
    Setting("WEBHOOK_IDEMPOTENCY_ENABLED", "flag", "true", "an event is processed once; false, in test mode only: each delivery processes it again (its effects still come once)"),
    Setting("WEBHOOK_SEQUENTIAL_PER_OBJECT", "flag", "true", "one worker at a time processes an object; false, in test mode only: a second one takes its new events meanwhile"),
    Setting("WEBHOOK_TRACK_VERSIONS", "flag", "true", "a picture of an object never replaces one that was asked for later; false, in test mode only: who stores last wins"),
    Setting("WEBHOOK_USE_LOCKS", "flag", "true", "a worker whose lease another has taken over stores nothing; false, in test mode only: it stores what it has"),
    # Mail and PDF
    Setting("MAIL_ENABLED", "flag", "false", "send mail at all"),
    Setting("MAIL_FROM", "text", "", "sender of all mail, like Example <billing@example.com>"),
    Setting("MAIL_RATE_LIMIT", "integer", "300", "most mails a minute that all processes together try to send; 0 = no limit", minimum=0),
    Setting("MAIL_BOUNCE_ADDRESS", "text", "", "where mail that cannot be delivered comes back to, with the mail's id behind a plus sign; whoever takes mail for it hands that to the socket that `nself billing email show-config` names; empty = MAIL_FROM, without an id"),
    Setting("MAIL_WEBHOOK_SECRET", "secret", "", "verifies what a mail provider tells of bounces at /webhooks/mail (header Nself-Signature); several, comma separated, while one is being replaced"),
    Setting("MAIL_UNSUBSCRIBE_URL", "url", "", "public address of /webhooks/mail/unsubscribe, put into reminders as List-Unsubscribe; empty = they have none"),
    Setting("SMTP_HOST", "text", "", "mail server that takes our mail; empty = it is kept in .nself/mail, nothing leaves this machine"),
    Setting("SMTP_PORT", "integer", "587", "its port", minimum=1, maximum=65535),
    Setting("SMTP_SECURITY", "choice", "starttls", "how the connection is secured: starttls, tls from the first byte on, or none", ("starttls", "tls", "none")),
    Setting("SMTP_USER", "text", "", "login at the mail server; empty = none"),
    Setting("SMTP_PASSWORD", "secret", "", "its password"),
    Setting("NOTIFY_WEBHOOK_URL", "url", "", "where events of our own are sent (quota.…, subscription.…, invoice.paid, payment_failed, charge.refunded, dispute.created); empty = nowhere"),
    Setting("NOTIFY_WEBHOOK_SECRET", "secret", "", "signs them (Nself-Signature, as Stripe-Signature); several, comma separated, while one is being replaced"),
    # Documents
    Setting("BILLING_COMPANY_NAME", "text", "", "who sells, on invoices; empty = the account's name at Stripe"),
    Setting("BILLING_COMPANY_ADDRESS", "text", "", "street of the company, on invoices; further lines after semicolons"),
    Setting("BILLING_COMPANY_POSTAL_CODE", "text", "", "its postal code"),
    Setting("BILLING_COMPANY_CITY", "text", "", "its city"),
    Setting("BILLING_COMPANY_COUNTRY", "text", "", "its country, two letters like DE; without it invoices carry no EN 16931 XML"),
    Setting("BILLING_COMPANY_EMAIL", "text", "", "its address for questions about invoices"),
    Setting("BILLING_COMPANY_TAX_ID", "text", "", "its VAT number like DE123456788, or another tax number"),
    Setting("BILLING_COMPANY_REGISTRATION", "text", "", "its number in a register of companies"),
    Setting("BILLING_LOCALE", "text", "en", "language and region of documents for customers without preferred_locales, like de-AT; there are en, de, es, fr, ja"),
    Setting("PDF_MEMORY_LIMIT", "size", "512M", "most memory that making one PDF may take; more ends it with pdf_memory_limit", zero=False),
    Setting("PDF_TIMEOUT", "duration", "30s", "longest time that making one PDF may take", maximum=600, zero=False),
    Setting("PDF_WORKERS", "integer", "2", "PDFs that the pdf-generator makes at once, each within PDF_MEMORY_LIMIT", minimum=1, maximum=64),
    Setting("PDF_FONT_PATH", "text", "", "folders with further fonts for PDFs, separated by colons; those in services/billing/templates/fonts are found without it"),
)  # fmt: skip
