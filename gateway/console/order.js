// An order: seats of one event that are held, and one attempt to pay for them.
//
// An attempt has one key, made when it begins. Whatever gets lost, it is sent again with that key
// and the very same request: so it becomes one booking. The order is kept for this tab, so that
// this is true of a page that is loaded again, too.

import { call, get, newKey, Refused, serverNow } from "./api.js";
import { pause } from "./dom.js";
import * as session from "./session.js";
import { tab } from "./storage.js";
import { follow, isSettled, later } from "./stream.js";

const PLACE = "holdfast.order";
export const HOLD_S = 600;
const LOOK_MS = 250;
const SENDS_MAX = 12;
const HOLD_SENDS_MAX = 5;
const BACKOFF_MS = [400, 800, 1500, 3000, 5000];
// Any will do that is not over.
const YEARS_AHEAD = 4;

export class Order extends EventTarget {
  constructor(kept) {
    super();
    Object.assign(this, kept);
    this.leaving = new AbortController();
    // What was heard of it since this page was loaded, oldest first.
    this.heard = [];
  }

  // Hold seats: all of them or none. The same key for the same wish, until it is answered.
  static async hold(wish, signal) {
    const send = () =>
      call("POST", "inventory/reservations", {
        body: { eventId: wish.eventId, seatNumbers: wish.seatNumbers, ttl: `${HOLD_S}s` },
        headers: { "idempotency-key": wish.key },
        signal,
      });
    const answer = await untilAnswered(send, HOLD_SENDS_MAX, signal);
    const order = new Order({
      user: session.user(),
      eventId: wish.eventId,
      reservations: answer.body.reservations,
      attempt: null,
      booking: null,
      refusal: null,
    });
    order.keep();
    return order;
  }

  // The order that was begun in this tab for this event, if there is one.
  static kept(eventId) {
    const kept = JSON.parse(tab.get(PLACE) ?? "null");
    const fits = kept && kept.user === session.user() && String(kept.eventId) === String(eventId);
    return fits ? new Order(kept) : null;
  }

  get phase() {
    if (this.booking && isSettled(this.booking)) return "settled";
    if (this.refusal) return "refused";
    return this.attempt ? "paying" : "held";
  }

  get expiresAt() {
    return Math.min(...this.reservations.map((one) => Date.parse(one.expiresAt)));
  }

  // Begin an attempt to pay with a card.
  pay(card) {
    const year = new Date(serverNow()).getFullYear() + YEARS_AHEAD;
    this.attempt = { key: newKey(), card: card.name, year, sends: 0, beganAt: Date.now() };
    this.keep();
    return this.run(card);
  }

  // Send the attempt until it is answered, and follow its booking until that is settled.
  async run(card) {
    const { signal } = this.leaving;
    this.tell();
    const found = new AbortController();
    const following = this.find(AbortSignal.any([signal, found.signal])).catch(ignored);
    try {
      const answer = await this.sendUntilAnswered(card, signal);
      this.hear(answer.body, "answer");
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof Refused)) throw error;
      await this.refused(error, signal);
    } finally {
      if (!this.booking || isSettled(this.booking)) found.abort();
    }
    await following;
    this.tell();
  }

  // The same request again, with the same key; what was answered, and whether it was stored.
  async send(card) {
    this.attempt.sends += 1;
    this.keep();
    this.tell();
    const again = this.attempt.sends > 1;
    const answer = await call("POST", "bookings/confirm", {
      body: this.request(card),
      headers: { "idempotency-key": this.attempt.key, ...(again && { "idempotency-wait": "true" }) },
      signal: this.leaving.signal,
    });
    return { ...answer, replayed: answer.headers.get("idempotent-replayed") === "true" };
  }

  request(card) {
    return {
      reservationIds: this.reservations.map((one) => one.reservationId),
      paymentMethod: {
        type: "CREDIT_CARD",
        cardNumber: card.cardNumber,
        expiryMonth: 12,
        expiryYear: this.attempt.year,
        cvv: "123",
      },
    };
  }

  async sendUntilAnswered(card, signal) {
    const answer = await untilAnswered(() => this.send(card), SENDS_MAX, signal, (error) =>
      this.note(`${error.status || "no answer"}: sent again with the same key`, "warn"),
    );
    if (answer.replayed) this.note("answered with what was stored for this key: the same booking");
    return answer;
  }

  // While the call runs its booking is found in the user's list, and followed live.
  async find(signal) {
    const mine = new Set(this.reservations.map((one) => String(one.reservationId)));
    while (!this.booking) {
      await pause(LOOK_MS, signal);
      const { bookings } = await get("bookings/me", { pageSize: 10 }, signal).catch(() => ({ bookings: [] }));
      const ours = bookings.find((one) => one.seats.some((seat) => mine.has(String(seat.reservationId))));
      if (ours) this.hear(ours, "list");
    }
    if (isSettled(this.booking)) return;
    await follow(this.booking.bookingId, {
      signal,
      onBooking: (booking) => this.hear(booking, "live"),
      onLine: (line) => line === "cut" && this.note("the line was cut; taking it up again", "warn"),
    });
  }

  // A decline has a booking, too: its own end says what became of the seats.
  async refused(error, signal) {
    const reference = error.body.bookingReference;
    if (reference) {
      const { bookings } = await get("bookings/me", { bookingReference: reference }, signal).catch(() => ({}));
      if (bookings?.length) return this.hear(bookings[0], "answer");
    }
    this.refusal = { reason: error.reason, message: error.sentence, open: error.mayBeSentAgain };
    this.keep();
    this.tell();
  }

  hear(booking, source) {
    const before = this.booking;
    this.booking = later(before, booking);
    const changed =
      !before || ["status", "paymentStatus", "paymentId", "failureReason"].some((name) => before[name] !== booking[name]);
    if (changed && this.booking === booking) this.heard.push({ at: Date.now(), booking, source });
    this.keep();
    this.tell();
  }

  note(text, kind = "") {
    this.heard.push({ at: Date.now(), text, kind });
    this.tell();
  }

  // Leave the page: what runs goes on without it.
  leave() {
    this.leaving.abort();
  }

  forget() {
    this.leave();
    tab.remove(PLACE);
  }

  keep() {
    const { user, eventId, reservations, attempt, booking, refusal } = this;
    const kept = { user, eventId, reservations, attempt, booking, refusal };
    tab.set(PLACE, JSON.stringify(kept));
  }

  tell() {
    this.dispatchEvent(new Event("change"));
  }
}

// Send the very same again until it is answered, soon and then slower.
async function untilAnswered(send, sendsMax, signal, onAgain = () => {}) {
  for (let sends = 1; ; sends += 1) {
    try {
      return await send();
    } catch (error) {
      if (!(error instanceof Refused) || !error.mayBeSentAgain || sends === sendsMax) throw error;
      onAgain(error);
      const backoff = BACKOFF_MS[Math.min(sends - 1, BACKOFF_MS.length - 1)];
      await pause(Math.max(backoff, error.retryAfterS * 1000), signal);
    }
  }
}

function ignored(error) {
  if (error.name !== "AbortError") console.warn("not followed:", error.message);
}
