// The steps of a booking, as its own user sees them: read off the booking itself.
// An operator sees what the saga did, too: each action, under which attempt, and what came of it.

import { h, replace } from "./dom.js";

// What a status means, for people.
export const STATUS = {
  PENDING: "in the making",
  CONFIRMED: "confirmed",
  FAILED: "failed",
  CANCELLING: "being cancelled",
  CANCELLED: "cancelled",
};
const STATES = { todo: "to come", now: "running", done: "done", failed: "failed", undone: "undone" };

// The steps and where each is, from a booking; none yet: it is being stored.
export function stepsOf(booking) {
  if (!booking) return confirming("now", "todo", "todo", "todo");
  if (booking.status === "CANCELLING" || booking.status === "CANCELLED") return cancelling(booking);
  if (booking.failureReason && booking.failureReason !== "REASON_UNSPECIFIED") return undoing(booking);
  if (booking.status === "CONFIRMED") return confirming("done", "done", "done", "done");
  if (booking.paymentStatus === "SUCCESS") return confirming("done", "done", "now", "todo");
  const waits = booking.paymentId ? "the provider has not decided yet" : "the provider is being asked";
  return confirming("done", "now", "todo", "todo", waits);
}

function confirming(stored, charged, booked, told, waits = "") {
  return [
    step("store", "Store the booking", stored),
    step("charge", "Take the payment", charged, waits),
    step("confirm", "Book the seats", booked),
    step("end", "Confirmed", told),
  ];
}

function undoing(booking) {
  const over = booking.status === "FAILED";
  const paid = booking.failureReason === "SEATS_LOST";
  const first = [
    step("store", "Store the booking", "done"),
    step("charge", "Take the payment", paid ? (over ? "undone" : "done") : "failed", paid ? "" : booking.failureMessage),
  ];
  if (paid) {
    first.push(step("confirm", "Book the seats", "failed", booking.failureMessage));
    first.push(step("refund", "Give the money back", over ? "done" : "now"));
  }
  return [
    ...first,
    step("release", "Let the seats go", over ? "done" : "now"),
    step("end", "Failed: nothing is booked or charged", over ? "done" : "todo"),
  ];
}

function cancelling(booking) {
  const over = booking.status === "CANCELLED";
  const back = booking.paymentStatus === "REFUNDED" || booking.paymentStatus === "CANCELLED";
  const none = over && !back;
  return [
    step("release", "Let the seats go", over || back ? "done" : "now"),
    step("refund", none ? "No money was taken" : "Give the money back", over || back ? "done" : "now"),
    step("end", "Cancelled", over ? "done" : "todo"),
  ];
}

function step(name, title, state, note = "") {
  return { name, title, state, note };
}

// A list of steps that is changed in place, so that what did not change stays as it is.
export class Steps {
  constructor() {
    this.element = h("ol", { class: "steps", "aria-label": "Steps of the booking" });
    this.times = new Map();
    this.drawn = "";
  }

  show(booking, beganAt = 0) {
    const steps = stepsOf(booking);
    const drawn = JSON.stringify(steps);
    if (drawn === this.drawn) return;
    this.drawn = drawn;
    for (const one of steps) {
      const key = `${one.name} ${one.state}`;
      if (!this.times.has(key)) this.times.set(key, Date.now());
    }
    replace(this.element, ...steps.map((one) => this.row(one, beganAt)));
  }

  row(one, beganAt) {
    const at = this.times.get(`${one.name} ${one.state}`);
    const after = beganAt && one.state !== "todo" ? `${((at - beganAt) / 1000).toFixed(1)} s` : "";
    return h(
      "li",
      { class: `step ${one.state}`, "data-step": one.name, "data-state": one.state, "aria-current": one.state === "now" && "step" },
      h("span", { class: "title" }, one.title),
      h("span", { class: "state" }, STATES[one.state], after && ` · ${after}`),
      one.note && h("span", { class: "note" }, one.note),
    );
  }
}

const HEADS = [["at"], ["action"], ["came to"], ["attempt", "number"], ["took", "number"]];

// What a saga did, for operators.
export function timeline(saga) {
  const rows = (saga.timeline ?? []).map((one) =>
    h(
      "tr",
      {},
      h("td", {}, time(one.beganAt)),
      h("td", {}, h("code", {}, one.action), one.detail && h("span", { class: "note" }, one.detail)),
      h("td", {}, badge(one.outcome)),
      h("td", { class: "number" }, String(one.attempt)),
      h("td", { class: "number" }, seconds(one.took)),
    ),
  );
  return h(
    "div",
    { class: "scroll", tabindex: 0, role: "region", "aria-label": `Actions of ${saga.name}` },
    h(
      "table",
      { class: "timeline" },
      h("caption", {}, h("code", {}, saga.name), " ", badge(saga.state), saga.state === "RUNNING" && ` at ${saga.step}`),
      h("thead", {}, h("tr", {}, ...HEADS.map(([one, kind]) => h("th", { scope: "col", class: kind }, one)))),
      h("tbody", {}, rows.length ? rows : h("tr", {}, h("td", { colspan: 5 }, "nothing yet"))),
    ),
  );
}

const GOOD = new Set(["CONFIRMED", "SUCCEEDED", "DONE", "RESOLVED", "SUCCESS"]);
const BAD = new Set(["FAILED", "REFUSED", "NEEDS_ATTENTION", "GIVEN_UP"]);
const OPEN = new Set(["PENDING", "RUNNING", "UNKNOWN", "CANCELLING", "RETRIED"]);

export function badge(name) {
  const kind = GOOD.has(name) ? "good" : BAD.has(name) ? "bad" : OPEN.has(name) ? "open" : "";
  return h("span", { class: `badge ${kind}` }, name);
}

export function time(text) {
  return text ? new Date(text).toLocaleTimeString() : "";
}

export function moment(text) {
  return text ? new Date(text).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" }) : "";
}

// A duration of the contract, `0.412s`.
function seconds(text) {
  const value = Number.parseFloat(text ?? "");
  return Number.isNaN(value) ? "" : `${value.toFixed(value < 10 ? 2 : 0)} s`;
}
