// Beside the map: what was chosen, held, paid for, and what became of it.

import { complain, every, h, pause, replace, say } from "./dom.js";
import { get, serverNow } from "./api.js";
import * as money from "./money.js";
import { Order } from "./order.js";
import { badge, Steps, STATUS, timeline } from "./saga.js";
import * as session from "./session.js";

const TOLD_AT_S = [60, 10];
const LOOK_AGAIN_MS = 700;

// The panel of an order, from its hold to its end.
export class Checkout {
  constructor(order, cards, { signal, currency, onOver, work }) {
    Object.assign(this, { order, cards, signal, currency, onOver, work });
    this.element = h("div", { class: "checkout" });
    this.steps = new Steps();
    this.log = h("ol", { class: "log" });
    this.facts = h("div", { class: "facts" });
    this.phase = "";
    order.addEventListener("change", () => this.changed());
    signal.addEventListener("abort", () => order.leave());
  }

  start() {
    this.changed();
    if (this.order.phase === "paying") this.go((card) => this.order.run(card));
    return this;
  }

  changed() {
    if (this.signal.aborted) return;
    const { phase } = this.order;
    if (phase !== this.phase) {
      const before = this.phase;
      this.phase = phase;
      replace(this.element, ...this[phase]());
      if (before) this.element.querySelector("h2")?.focus();
    }
    this.refresh();
  }

  // What is the same in every phase after the hold.
  refresh() {
    const { attempt, booking, heard } = this.order;
    if (!attempt) return;
    this.steps.show(booking, attempt.beganAt);
    replace(this.log, ...heard.map((one) => this.line(one)));
    replace(
      this.facts,
      h("dl", {},
        booking && fact("Booking", h("code", {}, booking.bookingReference)),
        fact("Key", h("code", {}, attempt.key)),
        fact("Sent", h("span", { id: "sends" }, attempt.sends === 1 ? "once" : `${attempt.sends} times, always with this key`)),
      ),
    );
  }

  line({ at, booking, source, text, kind }) {
    const after = `${((at - this.order.attempt.beganAt) / 1000).toFixed(1)} s`;
    const words = booking
      ? [badge(booking.status), ` payment ${booking.paymentId ? booking.paymentStatus : "not begun"}`, source === "live" && " (live)"]
      : [text];
    return h("li", { class: kind || null }, h("span", { class: "at" }, after), h("span", {}, ...words));
  }

  held() {
    const clock = h("span", { role: "timer", class: "clock", id: "clock" });
    this.countDown(clock);
    const total = money.shown(money.sum(this.order.reservations.map((one) => one.seat.price)), this.currency);
    const card = h("div", { class: "cardface", "aria-live": "polite" });
    const select = h(
      "select",
      { id: "scenario", onchange: () => this.face(card, select.value) },
      ...this.cards.map((one) => h("option", { value: one.name }, `${named(one.name)}: ${plain(one.outcome)}`)),
    );
    this.face(card, select.value);
    const pay = h("button", { type: "submit", class: "primary wide" }, `Pay ${total}`);
    const begin = (event) => {
      event.preventDefault();
      pay.disabled = true;
      this.go((chosen) => this.order.pay(chosen), select.value);
    };
    return [
      h("h2", { tabindex: -1 }, "Yours for ", clock),
      this.chips(),
      h(
        "form",
        { onsubmit: begin },
        h("label", { for: "scenario" }, "Pay with a test card"),
        select,
        card,
        pay,
        h("button", { type: "button", class: "quiet wide", onclick: () => this.onOver("left") }, "Choose other seats"),
        h("p", { class: "small" }, "Seats that are held and not paid for are free again when their time is over."),
      ),
    ];
  }

  paying() {
    say("Paying. The steps of the booking follow.");
    if (session.isAdmin()) this.operate();
    return [h("h2", { tabindex: -1 }, "Booking your seats"), this.chips(), this.steps.element, this.facts, this.history()];
  }

  settled() {
    const { booking, attempt } = this.order;
    const words = { CONFIRMED: "Your seats are booked", FAILED: "The payment failed", CANCELLED: "The booking is cancelled" };
    const lost = booking.failureReason === "SEATS_LOST" ? "The seats were gone" : words[booking.status];
    say(`${lost}. Booking ${booking.bookingReference} is ${STATUS[booking.status]}.`);
    if (session.isAdmin()) this.look(booking.bookingId);
    const told = h("p", { role: "status", class: "told", id: "told" });
    const again = attempt && h("button", { type: "button", onclick: () => this.sendAgain(told) }, "Send again with the same key");
    return [
      h("h2", { tabindex: -1, class: `end ${booking.status.toLowerCase()}` }, lost),
      booking.status === "FAILED" && h("p", { class: "why" }, booking.failureMessage, ". Nothing is charged; the seats are free again."),
      this.chips(),
      this.steps.element,
      this.facts,
      again,
      told,
      h("button", { type: "button", class: "primary wide", onclick: () => this.onOver("done") }, "Choose seats again"),
      this.history(),
    ];
  }

  refused() {
    const { refusal, attempt } = this.order;
    say(refusal.message);
    const again = () => {
      this.order.refusal = null;
      this.go((card) => this.order.run(card));
    };
    return [
      h("h2", { tabindex: -1, class: "end failed" }, refusal.open ? "No answer yet" : "This was refused"),
      h("p", { class: "why" }, refusal.message, refusal.reason && h("code", { class: "reason" }, refusal.reason)),
      refusal.open && h("p", {}, "It may be done or not. Sent again with the same key it is done once."),
      this.chips(),
      attempt && this.facts,
      h("p", { class: "actions" }, refusal.open && h("button", { type: "button", class: "primary", onclick: again }, "Send again"), h("button", { type: "button", onclick: () => this.onOver("left") }, "Choose other seats")),
      this.history(),
    ];
  }

  chips() {
    const seats = this.order.reservations.map((one) => h("li", {}, h("bdi", {}, one.seat.seatNumber)));
    return h("ul", { class: "chips", "aria-label": "Seats" }, ...seats);
  }

  history() {
    return h("details", { class: "history" }, h("summary", {}, "What the servers said, and when"), this.log);
  }

  face(place, name) {
    const card = this.cards.find((one) => one.name === name);
    replace(
      place,
      h("p", { class: "digits" }, card.cardNumber.replace(/(.{4})(?=.)/g, "$1 ")),
      h("dl", {}, fact("The provider", plain(card.description)), fact("The booking", plain(card.outcome))),
    );
  }

  // Do something that ends some time, and complain if it goes wrong in no way that was thought of.
  go(work, name = this.order.attempt?.card) {
    const card = this.cards.find((one) => one.name === name) ?? this.cards[0];
    work(card).catch((error) => {
      if (!this.signal.aborted && !this.order.leaving.signal.aborted) complain(error.message);
    });
  }

  async sendAgain(told) {
    const card = this.cards.find((one) => one.name === this.order.attempt.card);
    replace(told, "sending …");
    const { bookingReference } = this.order.booking;
    try {
      const answer = await this.order.send(card);
      const same = answer.body.bookingReference === bookingReference;
      replace(told, `${answer.status}: the same booking, ${same ? bookingReference : "no!"}${answer.replayed ? ", from what is stored for this key" : ""}. Nothing was charged twice.`);
    } catch (error) {
      const same = error.body?.bookingReference === bookingReference;
      replace(told, same ? `${error.status}: the same refusal, of ${bookingReference}. Nothing was asked of the provider.` : error.message);
    }
  }

  async countDown(clock) {
    const told = new Set();
    while (this.order.phase === "held" && !this.signal.aborted) {
      const leftS = Math.max(0, Math.ceil((this.order.expiresAt - serverNow()) / 1000));
      clock.textContent = `${Math.floor(leftS / 60)}:${String(leftS % 60).padStart(2, "0")}`;
      clock.classList.toggle("soon", leftS <= TOLD_AT_S[0]);
      const due = TOLD_AT_S.find((one) => leftS <= one && leftS > one - 2);
      if (due && !told.has(due)) {
        told.add(due);
        say(`${due} seconds left to pay.`);
      }
      if (leftS === 0) return this.onOver("expired");
      await pause(250, this.signal).catch(() => {});
    }
  }

  // What the saga does, while it does it.
  async operate() {
    await every(LOOK_AGAIN_MS, this.signal, async () => {
      if (this.phase === "paying" && this.order.booking) await this.look(this.order.booking.bookingId);
    });
  }

  async look(bookingId) {
    try {
      const saga = await get(`sagas/${encodeURIComponent(bookingId)}/confirm_booking`, {}, this.signal);
      replace(this.work, h("div", { class: "card" }, timeline(saga)));
    } catch (error) {
      if (!this.signal.aborted) replace(this.work, h("p", { class: "small" }, `No timeline: ${error.message}`));
    }
  }
}

// Before anything is held.
export function chosenPanel(chosen, currency, { onHold, onRemove, busy }) {
  const seats = [...chosen.values()];
  const total = seats.length ? money.shown(money.sum(seats.map((one) => one.price)), currency) : "";
  const words = seats.length === 1 ? "Hold 1 seat" : `Hold ${seats.length} seats`;
  return [
    h("h2", { tabindex: -1 }, "Your seats"),
    seats.length === 0 && h("p", { class: "small" }, "Choose seats on the map. By keyboard: Tab to it, the arrows move, Space chooses."),
    h(
      "ul",
      { class: "chosen" },
      ...seats.map((one) =>
        h(
          "li",
          {},
          h("bdi", {}, one.seatNumber),
          h("span", { class: "number" }, money.shown(one.price, currency)),
          h("button", { type: "button", class: "quiet", "aria-label": `Leave out seat ${one.seatNumber}`, onclick: () => onRemove(one) }, "×"),
        ),
      ),
    ),
    seats.length > 0 && h("p", { class: "total" }, "Together ", h("strong", { class: "number" }, total)),
    h("button", { type: "button", class: "primary wide", disabled: seats.length === 0 || busy, onclick: onHold }, seats.length ? words : "Hold seats"),
  ];
}

export function fact(name, value) {
  return h("div", {}, h("dt", {}, name), h("dd", {}, value));
}

function named(name) {
  const words = name.replaceAll("-", " ");
  return words[0].toUpperCase() + words.slice(1);
}

// The table is written with marks for a page of documentation.
function plain(text) {
  return text.replaceAll("`", "");
}

