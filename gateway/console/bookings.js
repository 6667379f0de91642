// The user's own bookings, newest first, each with its steps and a way out.

import { call, get, Refused } from "./api.js";
import { ask, complain, complainOf, h, pause, replace, say } from "./dom.js";
import * as money from "./money.js";
import { badge, moment, STATUS, Steps } from "./saga.js";
import { follow, isSettled, later } from "./stream.js";

const PAGE = 20;
// A browser opens six connections to a server, for all tabs together. So one booking of a page is
// followed live, and the others are asked for.
const LIVE_MAX = 1;
const LOOK_MS = 2000;

export async function bookingsView(main, { signal, events }) {
  const list = h("ul", { class: "bookings" });
  const lines = { free: LIVE_MAX };
  const more = h("p", { class: "actions" });
  replace(main, h("h1", { tabindex: -1 }, "My bookings"), list, more);
  const names = new Map((await events(signal)).map((one) => [String(one.eventId), one.name]));

  async function load(token) {
    const page = await get("bookings/me", { pageSize: PAGE, pageToken: token }, signal);
    for (const one of page.bookings) list.append(new Row(one, names, lines, signal).element);
    if (!list.childElementCount) list.append(h("li", { class: "card" }, "There are none yet. ", h("a", { href: "#/events" }, "Choose seats"), "."));
    const next = page.nextPageToken;
    replace(more, next && h("button", { type: "button", onclick: () => load(next).catch(complainOf) }, "Show older ones"));
  }

  await load("");
}

class Row {
  constructor(booking, names, lines, signal) {
    this.signal = signal;
    this.lines = lines;
    this.isFollowed = false;
    this.booking = booking;
    this.name = names.get(String(booking.eventId)) ?? `Event ${booking.eventId}`;
    this.steps = new Steps();
    this.element = h("li", { class: "card booking", "data-reference": booking.bookingReference });
    this.draw();
    if (!isSettled(booking)) this.follow();
  }

  draw() {
    const { booking } = this;
    const canCancel = ["PENDING", "CONFIRMED"].includes(booking.status) && (booking.failureReason ?? "REASON_UNSPECIFIED") === "REASON_UNSPECIFIED";
    this.steps.show(booking);
    replace(
      this.element,
      h("div", { class: "head" }, h("h2", {}, h("bdi", {}, this.name)), badge(booking.status)),
      h("p", { class: "small" }, h("code", {}, booking.bookingReference), ` · ${moment(booking.createdAt)} · `, h("strong", { class: "number" }, money.shown(booking.totalAmount, booking.currency))),
      h("ul", { class: "chips", "aria-label": "Seats" }, ...booking.seats.map((one) => h("li", {}, h("bdi", {}, one.seatNumber)))),
      booking.failureMessage && h("p", { class: "why" }, booking.failureMessage),
      h("details", { open: !isSettled(booking) }, h("summary", {}, "Steps"), this.steps.element),
      canCancel && h("p", { class: "actions" }, h("button", { type: "button", class: "danger", onclick: () => this.cancel() }, "Cancel", h("span", { class: "unseen" }, ` ${booking.bookingReference}`))),
    );
  }

  hear(booking) {
    const before = this.booking;
    this.booking = later(before, booking);
    this.draw();
    if (before.status !== this.booking.status) say(`${booking.bookingReference} is ${STATUS[this.booking.status]}`);
  }

  async follow() {
    if (this.isFollowed) return;
    this.isFollowed = true;
    const isLive = this.lines.free > 0;
    if (isLive) this.lines.free -= 1;
    try {
      if (isLive) await follow(this.booking.bookingId, { signal: this.signal, onBooking: (one) => this.hear(one) });
      else await this.look();
    } catch (error) {
      complainOf(error);
    } finally {
      this.isFollowed = false;
      if (isLive) this.lines.free += 1;
    }
  }

  async look() {
    const { bookingReference } = this.booking;
    while (!isSettled(this.booking)) {
      await pause(LOOK_MS, this.signal);
      const { bookings } = await get("bookings/me", { bookingReference }, this.signal).catch(() => ({ bookings: [] }));
      for (const one of bookings) this.hear(one);
    }
  }

  async cancel() {
    const { booking } = this;
    const seats = booking.seats.map((one) => one.seatNumber).join(", ");
    const yes = await ask({
      title: `Cancel ${booking.bookingReference}?`,
      text: `The seats ${seats} go back, and ${money.shown(booking.totalAmount, booking.currency)} with them.`,
      yes: "Cancel the booking",
      no: "Keep it",
      danger: true,
    });
    if (!yes) return;
    try {
      const answer = await call("POST", `bookings/${encodeURIComponent(booking.bookingId)}/cancel`, { body: {}, signal: this.signal });
      this.hear(answer.body);
      if (!isSettled(answer.body)) this.follow();
    } catch (error) {
      if (this.signal.aborted) return;
      if (!(error instanceof Refused)) throw error;
      complain(error.mayBeSentAgain ? `No answer yet: ${error.sentence}. It may be cancelled or not: cancel again, it is done once.` : `Not cancelled: ${error.sentence}.`);
    }
  }
}
