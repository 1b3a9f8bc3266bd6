/** The client of nself billing for Node and browsers; see README.md. */
import createClient, { type Client } from "openapi-fetch";
import { BillingError, type Decision, failure, QuotaExceeded } from "./errors.js";
import type { components, paths } from "./schema.js";
import { sender, type Sending } from "./sending.js";

export * from "./errors.js";
export type { components, operations, paths } from "./schema.js";
export type { Sending } from "./sending.js";
export * from "./webhook.js";

type Schemas = components["schemas"];
export type UsageEvent = Schemas["UsageEvent"];
export type Intake = Schemas["Intake"];
export type PageLink = Schemas["PageLink"];
export type Properties = Record<string, unknown>;

export interface Options extends Sending {
  /** Most events of one request; 1000. The service takes USAGE_MAX_BATCH. */
  batchEvents?: number;
}

/** What a piece of work holds of a quota. Set `value` to what was used, where that is not what was reserved. */
export interface Held {
  readonly reservation: string;
  value: number;
  properties?: Properties;
}

const KEY = "Idempotency-Key";
/** Each route with a parameter `Idempotency-Key`: the compiler refuses one too few or too many. */
const KEYED = {
  "/api/v1/invoices": true,
  "/api/v1/invoices/{invoice}/items": true,
  "/api/v1/payments": true,
  "/api/v1/quota/reserve": true,
  "/api/v1/refunds": true,
  "/api/v1/subscriptions": true,
} satisfies Record<KeyedPath, true>;
type KeyedPath = { [P in keyof paths]: HasKey<paths[P]["post"]> extends true ? P : never }[keyof paths];
type HasKey<T> = T extends { parameters: { header?: infer H } } ? ([H] extends [never] ? false : H extends { "Idempotency-Key"?: string } ? true : false) : false;
/** Asked again, these answer the same. */
const SAME: ReadonlySet<string> = new Set<keyof paths>(["/api/v1/quota/check", "/api/v1/quota/commit", "/api/v1/quota/release"]);
const USAGE = "/api/v1/usage";

export class Billing {
  /** Every route, typed; each failure throws a BillingError. Take `data` of what it answers, or use `dataOf`. */
  readonly api: Client<paths>;
  readonly #batch: number;

  /** `key` is an API key: `nself billing api-key create`. In a browser use one that is bound to its user (`--user`). */
  constructor(url: string, key: string, { batchEvents = 1000, ...sending }: Options = {}) {
    const repeatable = new WeakSet<Request>();
    const fetch = sender(sending, (request) => repeatable.has(request));
    this.#batch = batchEvents;
    this.api = createClient<paths>({ baseUrl: url, headers: { Authorization: `Bearer ${key}` }, redirect: "error", fetch });
    this.api.use({
      async onRequest({ request, schemaPath }) {
        const body: unknown = request.method === "POST" ? await request.clone().json().catch(() => undefined) : undefined;
        if (request.method === "POST" && schemaPath in KEYED && !request.headers.has(KEY)) {
          request.headers.set(KEY, keyIn(body) ?? crypto.randomUUID());
        }
        const counted = schemaPath === USAGE && [body].flat().every((one) => keyIn(one) !== undefined);
        if (request.method === "GET" || request.headers.has(KEY) || SAME.has(schemaPath) || counted) repeatable.add(request);
      },
      async onResponse({ response }) {
        if (!response.ok) throw await failure(response);
      },
    });
  }

  /**
   * Count usage, in batches. It is on the service's disk when this resolves; single events that can never be counted are
   * in `rejected`, the rest is counted. To try all again after an error without counting twice, pass what `keyed` made.
   */
  async record(events: UsageEvent | readonly UsageEvent[]): Promise<Intake> {
    const all = keyed([events].flat());
    const sum: Intake = { accepted: 0, duplicate: 0, rejected: [] };
    for (let start = 0; start < all.length; start += this.#batch) {
      const found = await dataOf(this.api.POST(USAGE, { body: all.slice(start, start + this.#batch) }));
      sum.accepted += found.accepted;
      sum.duplicate += found.duplicate;
      sum.rejected.push(...found.rejected.map((one) => ({ ...one, index: one.index + start })));
      if (found.buffered !== undefined) sum.buffered = (sum.buffered ?? 0) + found.buffered;
    }
    return sum;
  }

  /** Whether so much more is allowed; nothing is taken. */
  check(user: string, metric: string, value = 1): Promise<Decision> {
    return dataOf(this.api.POST("/api/v1/quota/check", { body: { user, metric, value } }));
  }

  /** Hold so much of the limit, where `allowed`, until it is committed, released or expires (QUOTA_RESERVATION_TTL). */
  reserve(user: string, metric: string, value = 1, key: string = crypto.randomUUID()): Promise<Decision> {
    return dataOf(this.api.POST("/api/v1/quota/reserve", { body: { user, metric, value, key } }));
  }

  /** Count what was used, else all that was reserved. Again is the same as once. */
  commit(reservation: string, value?: number, properties?: Properties): Promise<Decision> {
    return dataOf(this.api.POST("/api/v1/quota/commit", { body: { reservation, value: value ?? null, properties: properties ?? null } }));
  }

  /** Give it back. Again is the same as once. */
  release(reservation: string): Promise<Decision> {
    return dataOf(this.api.POST("/api/v1/quota/release", { body: { reservation } }));
  }

  /** Do work while its cost is held: committed after it, given back where it throws. Throws QuotaExceeded. */
  async reserved<T>(user: string, metric: string, value: number, work: (held: Held) => Promise<T> | T): Promise<T> {
    const found = await this.reserve(user, metric, value);
    if (!found.allowed || found.reservation === null) throw new QuotaExceeded(found);
    const held: Held = { reservation: found.reservation, value };
    let made: T;
    try {
      made = await work(held);
    } catch (error) {
      await this.release(held.reservation).catch((second: unknown) => {
        if (!(second instanceof BillingError)) throw second; // else it ends by itself
      });
      throw error;
    }
    const counted = await this.commit(held.reservation, held.value, held.properties);
    if (!counted.allowed) throw new QuotaExceeded(counted);
    return made;
  }

  /** A page on which `user` sees their own usage, quotas and invoices; whoever has its `url` sees it. */
  pageLink(user: string, lives?: string): Promise<PageLink> {
    return dataOf(this.api.POST("/api/v1/page-links", { body: lives === undefined ? { user } : { user, lives } }));
  }
}

/** Events with a key and a time each, so that they count once and then, however often they are sent. */
export function keyed(events: readonly UsageEvent[]): UsageEvent[] {
  const at = new Date().toISOString();
  return events.map((one) => ({ ...one, key: one.key ?? crypto.randomUUID(), at: one.at ?? at }));
}

/** The answer itself; what is no answer was thrown. */
export async function dataOf<T>(answer: Promise<{ data?: T; error?: unknown }>): Promise<NonNullable<T>> {
  return (await answer).data as NonNullable<T>;
}

function keyIn(body: unknown): string | undefined {
  const { idempotency_key, key } = (body ?? {}) as { idempotency_key?: string; key?: string };
  return idempotency_key ?? key;
}
