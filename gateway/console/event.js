// One event: its map of seats, and beside it the way to a booking.

import { get, newKey, Refused } from "./api.js";
import { Checkout, chosenPanel } from "./checkout.js";
import { complain, every, h, replace, say } from "./dom.js";
import { Order } from "./order.js";
import { CHOSEN_MAX, SeatMap, SECTION } from "./seats.js";

const LOOK_MS = 4000;

export async function eventView(main, { signal, cards, events }, eventId) {
  const view = new EventView(main, { signal, cards, eventId });
  const known = (await events(signal)).find((one) => String(one.eventId) === eventId);
  await view.begin(known);
}

class EventView {
  constructor(main, given) {
    Object.assign(this, given);
    this.chosen = new Map();
    // Where each section begins; that of the next one is known when one was read.
    this.tokens = [""];
    this.section = 0;
    this.wish = null;
    this.holding = false;
    this.map = new SeatMap({ onToggle: (seat, isChosen) => this.toggle(seat, isChosen) });
    this.title = h("h1", { tabindex: -1 }, "Seats");
    this.count = h("p", { class: "small" });
    this.sections = h("div", { class: "sections" });
    this.panel = h("aside", { class: "card panel", "aria-label": "Your order" });
    // Below both, for operators: what the saga did.
    this.work = h("div", { class: "timelines" });
    this.stage = h("p", { class: "stage", "aria-hidden": "true" }, "Stage");
    replace(
      main,
      h("div", { class: "title" }, h("p", { class: "back" }, h("a", { href: "#/events" }, "← All events")), this.title, this.count),
      h("div", { class: "split" }, h("section", { class: "card hall", "aria-label": "Map of seats" }, this.map.legend, this.stage, this.map.element, this.sections), this.panel),
      this.work,
    );
  }

  async begin(event) {
    if (event) {
      replace(this.title, h("bdi", {}, event.name));
      document.title = `${event.name} · Holdfast`;
      this.seatCount = event.seatCount;
    }
    await this.load();
    const order = Order.kept(this.eventId);
    if (order) this.checkout(order);
    else this.choosing();
    every(LOOK_MS, this.signal, () => this.look());
  }

  async load(section = this.section) {
    const page = await this.read(section);
    this.section = section;
    this.currency = page.currency;
    this.map.show(page.seats, page.currency, this.chosen);
    this.stage.hidden = !this.map.element.classList.contains("lettered") || this.section > 0;
    if (page.nextPageToken) this.tokens[this.section + 1] = page.nextPageToken;
    const first = this.section * SECTION + 1;
    const last = first + page.seats.length - 1;
    const next = page.nextPageToken;
    // Of an event that is not among the latest it is not known how many seats it has.
    const all = `${new Intl.NumberFormat().format(this.seatCount ?? last)}${this.seatCount || !next ? "" : " or more"}`;
    this.count.textContent = `${all} seats, ${page.currency}`;
    replace(this.sections, (this.section > 0 || next) && this.turner(first, last, all, next));
  }

  read(section) {
    const query = { pageSize: SECTION, pageToken: this.tokens[section] };
    return get(`inventory/events/${encodeURIComponent(this.eventId)}/seats`, query, this.signal);
  }

  async look() {
    const { section } = this;
    const page = await this.read(section);
    if (section !== this.section) return;
    const lost = this.map.update(page.seats);
    // Seats that we hold are held by somebody, too; and so are those that we may hold by now.
    if (lost.length === 0 || this.order || this.wish) return;
    this.letGo(lost);
    complain(`Somebody was faster: ${lost.join(", ")} is taken.`);
  }

  turner(first, last, all, next) {
    const number = new Intl.NumberFormat();
    const turn = (to) => async () => {
      await this.load(to);
      say(`Section ${this.section + 1}`);
      this.map.focus();
    };
    return [
      h("button", { type: "button", disabled: this.section === 0, onclick: turn(this.section - 1) }, "Before"),
      h("span", {}, `Seats ${number.format(first)} to ${number.format(last)} of ${all}`),
      h("button", { type: "button", disabled: !next, onclick: turn(this.section + 1) }, "After"),
    ];
  }

  toggle(seat, isChosen) {
    if (this.order) return say("Your seats are held. Choose other seats in the panel first.");
    if (this.holding) return say("One moment: your seats are being held.");
    if (isChosen && this.chosen.size === CHOSEN_MAX) return complain(`One booking takes ${CHOSEN_MAX} seats.`);
    if (isChosen) this.chosen.set(seat.seatNumber, seat);
    else this.chosen.delete(seat.seatNumber);
    this.map.choose(seat.seatNumber, isChosen);
    // Another wish: it gets a key of its own.
    this.wish = null;
    this.choosing();
    say(`${seat.seatNumber} ${isChosen ? "chosen" : "left out"}, ${this.chosen.size} in all`);
  }

  letGo(numbers) {
    for (const number of numbers) {
      this.chosen.delete(number);
      this.map.choose(number, false);
    }
    this.wish = null;
    if (!this.order) this.choosing();
  }

  choosing() {
    const onRemove = (seat) => {
      this.toggle(seat, false);
      this.panel.querySelector("h2").focus();
    };
    this.panel.classList.add("choosing");
    replace(this.panel, ...chosenPanel(this.chosen, this.currency, { busy: this.holding, onRemove, onHold: () => this.hold() }));
  }

  async hold() {
    complain();
    this.wish ??= { eventId: this.eventId, seatNumbers: [...this.chosen.keys()], key: newKey() };
    this.holding = true;
    this.choosing();
    try {
      const order = await Order.hold(this.wish, this.signal);
      this.wish = null;
      this.holding = false;
      this.checkout(order);
      await this.look();
      this.panel.querySelector("h2").focus();
      say(`${order.reservations.length} seats are held for you.`);
    } catch (error) {
      this.notHeld(error);
    }
  }

  notHeld(error) {
    if (this.signal.aborted) return;
    this.holding = false;
    if (!(error instanceof Refused)) throw error;
    // Without an answer the same wish keeps its key; what was refused is another wish next time.
    if (!error.mayBeSentAgain) this.wish = null;
    const taken = error.reason === "SEAT_NOT_AVAILABLE" ? (error.body.seatNumbers ?? "").split(/,\s*/) : [];
    if (taken.length) complain(`Somebody was faster: ${taken.join(", ")} is taken.`);
    else if (this.wish) complain(`No answer yet: ${error.sentence}. Your seats may be held for you: to hold them again asks for the same.`);
    else complain(`Nothing is held: ${error.sentence}.`);
    if (taken.length) this.letGo(taken);
    else this.choosing();
    this.look().catch(() => {});
  }

  checkout(order) {
    this.order = order;
    for (const one of order.reservations) {
      this.map.choose(one.seat.seatNumber, true);
    }
    const given = { signal: this.signal, currency: order.reservations[0].currency ?? this.currency, onOver: (how) => this.over(how), work: this.work };
    this.panel.classList.remove("choosing");
    replace(this.panel, new Checkout(order, this.cards, given).start().element);
  }

  over(how) {
    for (const one of this.order.reservations) this.map.choose(one.seat.seatNumber, false);
    this.order.forget();
    this.order = null;
    this.chosen.clear();
    replace(this.work);
    this.choosing();
    this.panel.querySelector("h2").focus();
    if (how === "expired") complain("The time is over: the seats are free for others. Choose again.");
    this.look().catch(() => {});
  }
}
