/** Sends a request until it is answered, where sending it again changes nothing. */
import { asJson, ServiceUnreachable } from "./errors.js";

export type Send = (request: Request) => Promise<Response>;

export interface Sending {
  /** Milliseconds that a call may take, all its tries together; 10 000. */
  timeout?: number;
  /** Most tries; 4. */
  tries?: number;
  /** Instead of the global one. */
  fetch?: Send;
}

const AGAIN = new Set([408, 429, 500, 502, 503, 504]);
const FIRST_PAUSE = 100;

/** `repeatable` tells which requests may be sent again. */
export function sender({ timeout = 10_000, tries = 4, fetch = globalThis.fetch }: Sending, repeatable: (request: Request) => boolean): Send {
  return async (request) => {
    const end = performance.now() + timeout;
    const most = repeatable(request) ? tries : 1;
    for (let tried = 1; ; tried++) {
      const found = await once(request, end - performance.now(), fetch);
      if (found instanceof Response && !AGAIN.has(found.status)) return found;
      const wait = pause(tried, found instanceof Response ? seconds(found) : undefined);
      if (tried >= most || performance.now() + wait >= end) {
        if (found instanceof Response) return found;
        throw found;
      }
      await sleep(wait, request.signal);
    }
  };
}

/** One try with its whole body. A refusal of a quota is an answer like an allowance, with `retry_after` in it. */
async function once(request: Request, left: number, fetch: Send): Promise<Response | ServiceUnreachable> {
  const signal = AbortSignal.any([request.signal, AbortSignal.timeout(Math.max(Math.ceil(left), 1))]);
  const copy = new Request(request.clone(), { signal });
  try {
    const answer = await fetch(copy);
    const body = await answer.arrayBuffer();
    const refused = answer.status === 429 ? asJson(new TextDecoder().decode(body)) : undefined;
    if (refused?.allowed === false) return Response.json({ ...refused, retry_after: seconds(answer) });
    return new Response(body.byteLength ? body : null, answer);
  } catch (error) {
    request.signal.throwIfAborted();
    return new ServiceUnreachable(new URL(request.url).origin, error);
  }
}

/** What `Retry-After` says; the service tells seconds. */
function seconds(answer: Response): number | undefined {
  const text = answer.headers.get("retry-after") ?? "";
  return /^\d{1,6}$/.test(text) ? Number(text) : undefined;
}

/** Milliseconds: twice as long each time, by chance between a half and the whole, never less than was asked for. */
function pause(tried: number, asked = 0): number {
  return Math.max(FIRST_PAUSE * 2 ** (tried - 1) * (0.5 + Math.random() / 2), asked * 1000);
}

function sleep(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", stop);
      resolve();
    }, milliseconds);
    signal.addEventListener("abort", stop, { once: true });
  });
}
