/** How the client fails: the service's own codes in the families of its HTTP statuses, as in the Python client. */
import type { components } from "./schema.js";

/** Stripe's codes come through as they are, so any other text is possible. */
export type ErrorCode = components["schemas"]["ErrorCode"] | (string & {});
export type Decision = components["schemas"]["Decision"] & {
  /** Seconds, where a refusal ends by itself. */
  retry_after?: number;
};
type Told = Partial<components["schemas"]["Error"]["error"]>;

export class BillingError extends Error {
  readonly code: ErrorCode;
  readonly param: string | undefined;
  /** Commands that help. */
  readonly hint: readonly string[];
  readonly requestId: string | undefined;

  constructor(
    readonly status: number,
    told: Told,
    options?: ErrorOptions,
  ) {
    super(told.message, options);
    this.name = new.target.name;
    this.code = told.code ?? "unreadable_answer";
    this.param = told.param;
    this.hint = told.hint ?? [];
    this.requestId = told.request_id;
  }
}

export class Invalid extends BillingError {}
export class Denied extends BillingError {}
export class Declined extends BillingError {}
export class NotFound extends BillingError {}
export class Conflict extends BillingError {}
/** Away, busy or too often: the same may succeed later. */
export class Unavailable extends BillingError {}

/** No answer; whether the request arrived is not known. */
export class ServiceUnreachable extends Unavailable {
  constructor(url: string, cause: unknown) {
    const detail = cause instanceof Error ? cause.message : String(cause);
    super(503, { code: "service_unreachable", message: `No answer from ${url}: ${detail}` }, { cause });
  }
}

/** An answer, but not of this service: a proxy's, or the address is wrong. */
export class UnreadableAnswer extends Unavailable {}

export class QuotaExceeded extends Denied {
  constructor(readonly decision: Decision) {
    const { user, metric, limit, remaining, resets_at } = decision;
    const message = `Quota exceeded: ${user} has ${remaining} of ${limit} ${metric} left until ${resets_at}`;
    super(429, { code: "quota_exceeded", message });
  }
}

const FAMILIES: Record<number, typeof BillingError> = {
  401: Denied,
  402: Declined,
  403: Denied,
  404: NotFound,
  409: Conflict,
  429: Unavailable,
};

/** The error that an answer tells. */
export async function failure(answer: Response): Promise<BillingError> {
  const text = await answer.text();
  const told = asJson(text)?.error;
  if (typeof told?.code !== "string") {
    const message = `Not an answer of nself billing: HTTP ${answer.status}: ${text.slice(0, 200).trim() || "nothing"}`;
    return new UnreadableAnswer(answer.status, { code: "unreadable_answer", message });
  }
  const Family = FAMILIES[answer.status] ?? (answer.status < 500 ? Invalid : Unavailable);
  return new Family(answer.status, told);
}

/** What there is in a JSON object; undefined where `text` is none. */
export function asJson(text: string): { error?: Told; allowed?: unknown } | undefined {
  try {
    const found: unknown = JSON.parse(text);
    return typeof found === "object" && found !== null ? found : undefined;
  } catch {
    return undefined;
  }
}
