/** Webhooks that nself billing sends (NOTIFY_WEBHOOK_URL), signed as Stripe signs, in the header `Nself-Signature`. */
import { Invalid } from "./errors.js";

export interface WebhookEvent {
  /** The same each time that the event is sent: handle it once. */
  id: string;
  object: "event";
  type: string;
  created: number;
  livemode: boolean;
  data: { object: Record<string, unknown> };
}

export interface Verifying {
  /** Seconds between the signature's time and now, either way; 300. */
  tolerance?: number;
  now?: Date;
}

export class InvalidSignature extends Invalid {
  constructor(message: string) {
    super(400, { code: "webhook_signature_verification_failed", message });
  }
}

/**
 * The event of a request, given that one of `secrets` signed it. `body` is the raw body as it came.
 * Throws InvalidSignature.
 */
export async function verifyWebhook(
  body: string | Uint8Array<ArrayBuffer>,
  header: string | null | undefined,
  secrets: string | readonly string[],
  { tolerance = 300, now = new Date() }: Verifying = {},
): Promise<WebhookEvent> {
  const raw = typeof body === "string" ? new TextEncoder().encode(body) : body;
  const parts = (header ?? "").slice(0, 4096).split(",").map((part) => part.trim().split("="));
  const times = parts.filter(([name]) => name === "t").map(([, value]) => value ?? "");
  const signatures = parts.filter(([name]) => name === "v1").map(([, value]) => bytes(value ?? ""));
  const at = times[0] ?? "";
  if (times.length !== 1 || !/^\d{1,11}$/.test(at)) throw new InvalidSignature("The header Nself-Signature is missing or none");
  const signed = new Uint8Array([...new TextEncoder().encode(`${at}.`), ...raw]);
  if (!(await anySigned(signed, signatures, [secrets].flat()))) {
    throw new InvalidSignature("No signatures found matching the expected signature for payload");
  }
  const skew = Math.trunc(now.getTime() / 1000) - Number(at);
  if (Math.abs(skew) > tolerance) {
    throw new InvalidSignature(`The signature was made ${Math.abs(skew)} s ${skew > 0 ? "before" : "after"} this clock's time`);
  }
  return JSON.parse(new TextDecoder().decode(raw)) as WebhookEvent;
}

/** WebCrypto compares in constant time. */
async function anySigned(signed: Uint8Array<ArrayBuffer>, signatures: Uint8Array<ArrayBuffer>[], secrets: string[]): Promise<boolean> {
  for (const secret of secrets.filter(Boolean)) {
    const algorithm = { name: "HMAC", hash: "SHA-256" };
    const key = await crypto.subtle.importKey("raw", new TextEncoder().encode(secret), algorithm, false, ["verify"]);
    for (const one of signatures) if (await crypto.subtle.verify("HMAC", key, one, signed)) return true;
  }
  return false;
}

/** Nothing where it is no hexadecimal. */
function bytes(hex: string): Uint8Array<ArrayBuffer> {
  return /^([0-9a-f]{2}){32}$/.test(hex) ? Uint8Array.from(hex.match(/../g) ?? [], (two) => parseInt(two, 16)) : new Uint8Array();
}
