// A booking, live. The browser's own EventSource cannot show a token, so the events are read here.

import { open, Refused } from "./api.js";
import { pause } from "./dom.js";

const SETTLED = new Set(["CONFIRMED", "FAILED", "CANCELLED"]);
const BACKOFF_MS = [300, 600, 1200, 2500, 5000];
// The order in which a booking goes through its statuses: it never goes back.
const RANK = { PENDING: 0, CONFIRMED: 1, FAILED: 1, CANCELLING: 2, CANCELLED: 3 };

export function isSettled(booking) {
  return SETTLED.has(booking.status);
}

// The later of two states of a booking; an answer that is a stored one may be the earlier.
export function later(known, other) {
  if (!known) return other;
  return RANK[other.status] >= RANK[known.status] ? other : known;
}

// Events of the HTML standard, section 9.2: lines, and an empty one after each event.
export async function* events(stream) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let kept = "";
  let event = { type: "message", data: [] };
  try {
    while (true) {
      const { value, done } = await reader.read().catch(cut);
      if (done) return;
      const lines = (kept + value).split(/\r?\n/);
      kept = lines.pop();
      for (const line of lines) {
        if (line === "") {
          if (event.data.length) yield { type: event.type, data: event.data.join("\n") };
          event = { type: "message", data: [] };
          continue;
        }
        const [, name, text = ""] = /^([^:]*)(?:: ?(.*))?$/.exec(line);
        if (name === "data") event.data.push(text);
        if (name === "event") event.type = text;
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

// Follow a booking until it is settled, through whatever cuts the line. A stream begins with the
// booking as it is, so nothing that happened meanwhile is missed.
export async function follow(bookingId, { signal, onBooking, onLine = () => {} }) {
  let failures = 0;
  while (true) {
    try {
      const stream = await open(`bookings/${encodeURIComponent(bookingId)}/watch`, "text/event-stream", signal);
      onLine("live");
      for await (const event of events(stream)) {
        if (event.type === "error") throw new Refused(503, JSON.parse(event.data));
        const booking = JSON.parse(event.data);
        failures = 0;
        onBooking(booking);
        if (isSettled(booking)) return booking;
      }
    } catch (error) {
      signal?.throwIfAborted();
      if (!(error instanceof Refused) || !error.mayBeSentAgain) throw error;
    }
    onLine("cut");
    await pause(BACKOFF_MS[Math.min(failures, BACKOFF_MS.length - 1)], signal);
    failures += 1;
  }
}

function cut(error) {
  throw new Refused(0, { message: error.message });
}
