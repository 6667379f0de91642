// Calls of the REST interface, as any client makes them.

import * as session from "./session.js";

// Beside the page, so that it works below a prefix, too.
const BASE = new URL("api/", location.href);
// Nothing was done, or nobody knows: the same call with the same key finds out.
const AGAIN = new Set([0, 502, 503, 504]);
let aheadMs = 0;

// What a call was refused with. The status is 0 if there was no answer at all.
export class Refused extends Error {
  constructor(status, body, retryAfterS = 0) {
    super(body.message || "there was no answer");
    this.status = status;
    this.reason = body.error ?? "";
    this.body = body;
    this.retryAfterS = retryAfterS;
  }

  get mayBeSentAgain() {
    return AGAIN.has(this.status) || this.reason === "OVERLOADED" || this.reason === "IDEMPOTENCY_KEY_IN_USE";
  }

  // For people: the sentence, and what is wrong with which field.
  get sentence() {
    const fields = (this.body.details ?? []).map((one) => `${one.field} ${one.description}`);
    return fields.length ? `${this.message} (${fields.join("; ")})` : this.message;
  }
}

// A name for an attempt, never used before.
export function newKey() {
  // Without TLS a browser makes these for its own machine only.
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (one) => one.toString(16).padStart(2, "0")).join("");
}

// The time as the servers have it: holds end by their clocks.
export function serverNow() {
  return Date.now() + aheadMs;
}

export async function call(verb, path, { body, headers = {}, signal } = {}) {
  const answer = await send(verb, path, { body, headers, signal });
  const text = await answer.text().catch((error) => {
    signal?.throwIfAborted();
    throw new Refused(0, { message: error.message });
  });
  const read = parsed(text);
  if (answer.ok) return { status: answer.status, headers: answer.headers, body: read };
  throw refusal(answer, read);
}

export async function get(path, query = {}, signal = undefined) {
  const given = Object.entries(query).filter(([, value]) => value !== "" && value !== undefined);
  const text = new URLSearchParams(given).toString();
  return (await call("GET", text ? `${path}?${text}` : path, { signal })).body;
}

// An answer that comes bit by bit; refusals are thrown.
export async function open(path, accept, signal) {
  const answer = await send("GET", path, { headers: { accept }, signal });
  if (answer.ok) return answer.body;
  throw refusal(answer, parsed(await answer.text()));
}

async function send(verb, path, { body, headers, signal }) {
  const sent = { accept: "application/json", ...headers, authorization: `Bearer ${session.token() ?? ""}` };
  if (body !== undefined) sent["content-type"] = "application/json";
  try {
    const answer = await fetch(new URL(path, BASE), {
      method: verb,
      headers: sent,
      body: body === undefined ? undefined : JSON.stringify(body),
      signal,
      cache: "no-store",
      credentials: "omit",
    });
    keepTime(answer.headers.get("date"));
    return answer;
  } catch (error) {
    signal?.throwIfAborted();
    throw new Refused(0, { message: "the gateway does not answer" }, 0, error);
  }
}

function refusal(answer, body) {
  const refused = new Refused(answer.status, body, Number(answer.headers.get("retry-after")) || 0);
  if (answer.status === 401) session.refused(refused.reason);
  return refused;
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return { message: "the answer is no JSON" };
  }
}

function keepTime(date) {
  const at = Date.parse(date ?? "");
  // The header has no parts of a second.
  if (!Number.isNaN(at) && Math.abs(at - Date.now()) > 2000) aheadMs = at - Date.now();
  else aheadMs = 0;
}
