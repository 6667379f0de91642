// For operators: what becomes of bookings, and those that wait for a person.

import { call, get, Refused } from "./api.js";
import { latencies, quantile, shares } from "./charts.js";
import { ask, complain, complainOf, every, h, replace, say } from "./dom.js";
import * as money from "./money.js";
import { badge, moment, timeline } from "./saga.js";

const LATEST = 100;
const ROWS = 25;
const LOOK_MS = 3000;
const STATUSES = ["CONFIRMED", "PENDING", "FAILED", "CANCELLING", "CANCELLED"];
const KINDS = { CONFIRMED: "good", FAILED: "bad", PENDING: "open", CANCELLING: "open", CANCELLED: "calm" };

export async function operationsView(main, { signal }) {
  await new Operations(main, signal).begin();
}

class Operations {
  constructor(main, signal) {
    this.signal = signal;
    this.paused = false;
    this.status = "";
    this.open = "";
    this.parkedDrawn = null;
    this.tiles = h("div", { class: "tiles" });
    this.parked = h("div", { class: "parked", id: "parked" });
    this.latest = h("tbody", {});
    this.detail = h("div", { class: "timelines" });
    this.detailRow = h("tr", { class: "detail" }, h("td", { colspan: 6 }, this.detail));
    this.when = h("span", { class: "small", id: "when" });
    this.toggle = h("button", { type: "button", "aria-pressed": "false", onclick: () => this.pause() }, "Pause");
    replace(main, ...this.page());
  }

  page() {
    const select = h("select", { id: "status", onchange: () => this.filter(select.value) }, h("option", { value: "" }, "all"), ...STATUSES.map((one) => h("option", { value: one }, one)));
    const heads = ["booking", "user", "seats", "total", "status", "asked for"];
    return [
      h("div", { class: "head" }, h("h1", { tabindex: -1 }, "Operations"), h("p", { class: "actions" }, this.when, this.toggle)),
      this.tiles,
      h("section", { "aria-labelledby": "h-parked" }, h("h2", { id: "h-parked" }, "Waiting for a person"), this.parked),
      h(
        "section",
        { "aria-labelledby": "h-latest" },
        h("div", { class: "head" }, h("h2", { id: "h-latest" }, "Latest bookings"), h("p", { class: "actions" }, h("label", { for: "status" }, "Status"), select)),
        h("div", { class: "card scroll", tabindex: 0, role: "region", "aria-label": "Table of bookings" }, h("table", { class: "latest" }, h("thead", {}, h("tr", {}, ...heads.map((one) => h("th", { scope: "col", class: one === "total" && "number" }, one)))), this.latest)),
      ),
    ];
  }

  async begin() {
    await this.look();
    every(LOOK_MS, this.signal, () => (this.paused ? null : this.look()));
  }

  async look() {
    const { status } = this;
    const [latest, listed, sagas] = await Promise.all([
      get("bookings", { pageSize: LATEST }, this.signal),
      status && get("bookings", { pageSize: ROWS, status }, this.signal),
      get("sagas", { state: "NEEDS_ATTENTION", pageSize: LATEST }, this.signal),
    ]);
    if (status !== this.status) return;
    this.drawTiles(latest.bookings, sagas);
    this.drawParked(sagas.sagas);
    this.drawLatest((listed || latest).bookings.slice(0, ROWS));
    this.when.textContent = `as of ${new Date().toLocaleTimeString()}`;
  }

  drawTiles(bookings, sagas) {
    const count = (status) => bookings.filter((one) => one.status === status).length;
    // One that was cancelled had been made, or was called off: it is neither.
    const [good, bad] = [count("CONFIRMED"), count("FAILED")];
    const times = bookings.map(seconds).filter((one) => one !== null);
    const [median, slow] = [quantile(times, 0.5), quantile(times, 0.95)];
    const parts = STATUSES.map((one) => ({ name: one, count: count(one), kind: KINDS[one] })).filter((one) => one.count);
    const oldestFirst = bookings.toReversed().map((one) => ({ name: one.bookingReference, kind: KINDS[one.status], tookS: seconds(one) }));
    const waiting = `${sagas.sagas.length}${sagas.nextPageToken ? "+" : ""}`;
    replace(
      this.tiles,
      tile("Success", good + bad ? `${((100 * good) / (good + bad)).toFixed(0)} %` : "–", `${good} confirmed, ${bad} failed of the latest ${bookings.length}`, shares(parts)),
      tile("Time to confirm", median === null ? "–" : `${median.toFixed(2)} s`, slow === null ? "none confirmed yet" : `median; 95 % within ${slow.toFixed(2)} s`, latencies(oldestFirst, median)),
      tile("Waiting", waiting, sagas.sagas.length ? "parked: retry or resolve them below" : "nothing needs a person", null, sagas.sagas.length ? "bad" : "good"),
    );
  }

  // Drawn again only when it is another list: a button must not go away under a finger.
  drawParked(sagas) {
    const drawn = JSON.stringify(sagas);
    if (drawn === this.parkedDrawn) return;
    this.parkedDrawn = drawn;
    replace(this.parked, sagas.length ? sagas.map((one) => this.saga(one)) : h("p", { class: "card small" }, "No saga is parked."));
  }

  saga(one) {
    const more = h("div", { class: "timelines" });
    const told = h("details", { ontoggle: () => told.open && this.tell(one.bookingReference, more) }, h("summary", {}, "What it did"), more);
    const what = `${one.name} of ${one.bookingReference}`;
    return h(
      "article",
      { class: "card saga", "aria-label": what, "data-reference": one.bookingReference },
      h("div", { class: "head" }, h("h3", {}, h("code", {}, one.bookingReference), " ", h("code", {}, one.name)), badge(one.state)),
      h("p", { class: "why" }, `stands at ${one.step} (${one.direction}), tries: ${one.tries}, refused: ${one.refusals}. `, h("bdi", {}, one.lastError)),
      h("p", { class: "small" }, `began ${moment(one.beganAt)}`),
      told,
      h(
        "p",
        { class: "actions" },
        h("button", { type: "button", class: "primary", onclick: () => this.retry(one, what) }, "Retry", h("span", { class: "unseen" }, ` ${what}`)),
        h("button", { type: "button", onclick: () => this.resolve(one, what) }, "Resolve", h("span", { class: "unseen" }, ` ${what}`)),
      ),
    );
  }

  async retry(saga, what) {
    const yes = await ask({ title: "Try it again?", text: `${what} goes on with its step ${saga.step}, and has all its patience again.`, yes: "Retry" });
    if (yes) await this.intervene(saga, "retry", {}, "goes on");
  }

  async resolve(saga, what) {
    const yes = await ask({
      title: "Take it as done?",
      text: `The step ${saga.step} of ${what} is not tried again. Do this only if somebody did it by hand: what is said here is believed.`,
      yes: "Resolve",
      note: "What was done by hand",
      danger: true,
    });
    if (yes) await this.intervene(saga, "resolve", { note: yes.note }, "is resolved");
  }

  async intervene(saga, what, body, told) {
    try {
      const path = `sagas/${encodeURIComponent(saga.bookingId)}/${encodeURIComponent(saga.name)}/${what}`;
      const answer = await call("POST", path, { body, signal: this.signal });
      say(`${saga.bookingReference} ${told}: ${answer.body.state}`);
      complain();
    } catch (error) {
      if (this.signal.aborted) return;
      if (!(error instanceof Refused)) throw error;
      complain(`Not done: ${error.sentence}.`);
    }
    this.parkedDrawn = null;
    await this.look().catch(complainOf);
  }

  drawLatest(bookings) {
    const focused = this.latest.contains(document.activeElement) ? document.activeElement.dataset.booking : "";
    const rows = bookings.flatMap((one) => [
      h(
        "tr",
        {},
        h("td", {}, h("button", { type: "button", class: "link", "data-booking": one.bookingId, "aria-expanded": String(this.open === one.bookingReference), onclick: () => this.show(one) }, one.bookingReference)),
        h("td", {}, h("bdi", {}, one.userId)),
        h("td", {}, h("bdi", {}, seatsOf(one))),
        h("td", { class: "number" }, money.shown(one.totalAmount, one.currency)),
        h("td", {}, badge(one.status), one.failureReason !== "REASON_UNSPECIFIED" && one.failureReason && h("span", { class: "note" }, one.failureMessage)),
        h("td", {}, moment(one.createdAt)),
      ),
      this.open === one.bookingReference && this.detailRow,
    ]);
    const shown = rows.filter(Boolean);
    replace(this.latest, ...(shown.length ? shown : [h("tr", {}, h("td", { colspan: 6 }, "There are none."))]));
    if (focused) this.latest.querySelector(`[data-booking="${CSS.escape(focused)}"]`)?.focus();
  }

  async show(booking) {
    this.open = this.open === booking.bookingReference ? "" : booking.bookingReference;
    replace(this.detail);
    await this.look();
    if (this.open) await this.tell(booking.bookingReference, this.detail);
  }

  // The timelines of a booking's sagas, first things first.
  async tell(bookingReference, place) {
    const { sagas } = await get("sagas", { bookingReference }, this.signal);
    const paths = sagas.map((one) => `sagas/${encodeURIComponent(one.bookingId)}/${encodeURIComponent(one.name)}`);
    const found = await Promise.all(paths.map((one) => get(one, {}, this.signal)));
    found.sort((left, right) => Date.parse(left.beganAt) - Date.parse(right.beganAt));
    replace(place, ...found.map(timeline));
  }

  filter(status) {
    this.status = status;
    this.look().catch(complainOf);
  }

  pause() {
    this.paused = !this.paused;
    this.toggle.setAttribute("aria-pressed", String(this.paused));
    this.toggle.textContent = this.paused ? "Go on" : "Pause";
    say(this.paused ? "Not refreshed any more" : "Refreshed again");
  }
}

function tile(name, value, words, chart, kind = "") {
  return h("article", { class: `card tile ${kind}` }, h("h2", {}, name), h("p", { class: "value number" }, value), chart, h("p", { class: "small" }, words));
}

// From the request to the confirmation; none if there was no such thing.
function seconds(booking) {
  return booking.confirmedAt ? (Date.parse(booking.confirmedAt) - Date.parse(booking.createdAt)) / 1000 : null;
}

function seatsOf(booking) {
  const [first, second, ...others] = booking.seats.map((one) => one.seatNumber);
  const shown = second ? `${first}, ${second}` : first;
  return others.length ? `${shown} and ${others.length} more` : shown;
}
