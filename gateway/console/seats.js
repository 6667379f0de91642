// A map of seats: a button each, one section at a time, so that an arena is no more work than a bar.

import { h, replace } from "./dom.js";
import * as money from "./money.js";

export const SECTION = 1000;
// As many as one booking takes.
export const CHOSEN_MAX = 50;
const TIERS = 4;
// Seats that are called like A1 or AB 12 stand in rows.
const PLACE = /^([A-Za-z]{1,3})[- ]?(\d{1,4})$/;
const STATUS = { AVAILABLE: "free", HELD: "held by somebody", BOOKED: "booked" };

export class SeatMap {
  constructor({ onToggle }) {
    this.onToggle = onToggle;
    this.buttons = new Map();
    this.element = h("div", { class: "seats", role: "group", "aria-label": "Seats", onclick: (event) => this.clicked(event), onkeydown: (event) => this.moved(event) });
    this.legend = h("ul", { class: "legend" });
  }

  // Show one section; `chosen` has the seats that are chosen, here or in another section.
  show(seats, currency, chosen) {
    this.seats = new Map(seats.map((one) => [one.seatNumber, one]));
    this.currency = currency;
    this.buttons.clear();
    const prices = distinct(seats.map((one) => one.price)).sort(money.compare).reverse();
    this.tierOf = (price) => (prices.length > TIERS ? 0 : prices.findIndex((one) => money.compare(one, price) === 0));
    const rows = rowsOf(seats);
    this.element.classList.toggle("lettered", rows !== null);
    if (rows) replace(this.element, ...[...rows].map(([letter, ones]) => this.row(letter, ones)));
    else replace(this.element, ...seats.map((one) => this.button(one, one.seatNumber)));
    for (const number of chosen.keys()) this.choose(number, true);
    const first = [...this.buttons.values()].find((one) => !isTaken(one)) ?? this.buttons.values().next().value;
    if (first) first.tabIndex = 0;
    replace(this.legend, ...legend(prices, currency));
  }

  // The same section as it is now; the chosen ones that are taken by now.
  update(seats) {
    const lost = [];
    for (const one of seats) {
      const button = this.buttons.get(one.seatNumber);
      if (!button || button.dataset.status === one.status) continue;
      this.seats.set(one.seatNumber, one);
      this.dress(button, one);
      if (isTaken(button) && button.getAttribute("aria-pressed") === "true") lost.push(one.seatNumber);
    }
    return lost;
  }

  choose(number, isChosen) {
    this.buttons.get(number)?.setAttribute("aria-pressed", String(isChosen));
  }

  focus() {
    this.element.querySelector("[tabindex='0']")?.focus();
  }

  row(letter, seats) {
    return h(
      "div",
      { class: "row", role: "group", "aria-label": `Row ${letter}` },
      h("span", { class: "letter", "aria-hidden": "true" }, letter),
      h("div", { class: "places" }, ...seats.map((one) => this.button(one, PLACE.exec(one.seatNumber)[2]))),
    );
  }

  button(seat, text) {
    const button = h("button", { type: "button", tabindex: -1, "aria-pressed": "false", "data-seat": seat.seatNumber }, h("bdi", {}, text));
    this.buttons.set(seat.seatNumber, button);
    this.dress(button, seat);
    return button;
  }

  dress(button, seat) {
    const taken = seat.status !== "AVAILABLE";
    button.className = `seat tier${this.tierOf(seat.price)}`;
    button.dataset.status = seat.status;
    button.setAttribute("aria-disabled", String(taken));
    const price = money.shown(seat.price, this.currency);
    button.setAttribute("aria-label", `Seat ${seat.seatNumber}, ${taken ? STATUS[seat.status] ?? seat.status : price}`);
    button.title = `${seat.seatNumber} · ${price} · ${STATUS[seat.status] ?? seat.status}`;
  }

  clicked(event) {
    const button = event.target.closest(".seat");
    if (!button) return;
    this.rove(button);
    const isChosen = button.getAttribute("aria-pressed") === "true";
    if (isTaken(button) && !isChosen) return;
    this.onToggle(this.seats.get(button.dataset.seat), !isChosen);
  }

  moved(event) {
    const here = event.target.closest(".seat");
    if (!here || event.altKey || event.metaKey) return;
    const all = [...this.buttons.values()];
    const at = all.indexOf(here);
    const line = all.filter((one) => top(one) === top(here));
    const ends = event.ctrlKey ? all : line;
    const to = {
      ArrowRight: () => all[at + 1],
      ArrowLeft: () => all[at - 1],
      ArrowDown: () => nearest(all, here, 1),
      ArrowUp: () => nearest(all, here, -1),
      Home: () => ends[0],
      End: () => ends.at(-1),
    }[event.key]?.();
    if (!to) return;
    event.preventDefault();
    this.rove(to);
    to.focus();
  }

  // One seat is in the order of Tab, the others are reached from it.
  rove(button) {
    for (const one of this.element.querySelectorAll("[tabindex='0']")) one.tabIndex = -1;
    button.tabIndex = 0;
  }
}

function isTaken(button) {
  return button.getAttribute("aria-disabled") === "true";
}

// Rows by letter, if every seat has one; else none.
function rowsOf(seats) {
  const rows = new Map();
  for (const one of seats) {
    const place = PLACE.exec(one.seatNumber);
    if (!place) return null;
    const letter = place[1].toUpperCase();
    if (!rows.has(letter)) rows.set(letter, []);
    rows.get(letter).push(one);
  }
  return rows;
}

function distinct(prices) {
  return [...new Map(prices.map((one) => [money.digits(one), one])).values()];
}

function legend(prices, currency) {
  const shown = prices.length > TIERS ? [] : prices;
  const range = prices.length > TIERS && `${money.shown(prices.at(-1), currency)} to ${money.shown(prices[0], currency)}`;
  return [
    ...shown.map((one, tier) => h("li", {}, h("span", { class: `swatch tier${tier}` }), money.shown(one, currency))),
    range && h("li", {}, h("span", { class: "swatch tier0" }), range),
    h("li", {}, h("span", { class: "swatch chosen" }), "yours"),
    h("li", {}, h("span", { class: "swatch held" }), "held"),
    h("li", {}, h("span", { class: "swatch booked" }), "booked"),
  ];
}

function top(element) {
  return Math.round(element.getBoundingClientRect().top);
}

// The seat in the next line up or down that is nearest.
function nearest(all, here, direction) {
  const from = here.getBoundingClientRect();
  const beyond = all.filter((one) => (top(one) - Math.round(from.top)) * direction > 0);
  const line = direction * Math.min(...beyond.map((one) => top(one) * direction));
  const there = beyond.filter((one) => top(one) === line);
  const away = (one) => Math.abs(one.getBoundingClientRect().left - from.left);
  return there.sort((left, right) => away(left) - away(right))[0];
}
