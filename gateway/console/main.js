// The console: who is signed in, and which view is shown.

import { get, Refused } from "./api.js";
import { bookingsView } from "./bookings.js";
import { complain, complainOf, h, replace } from "./dom.js";
import { eventView } from "./event.js";
import { operationsView } from "./operations.js";
import { moment } from "./saga.js";
import * as session from "./session.js";
import { browser } from "./storage.js";

const EVENTS = 100;
const THEME = "holdfast.theme";
const main = document.getElementById("main");
let cards = null;
let leaving = new AbortController();

const VIEWS = [
  [/^\/events$/, "Book", eventsView],
  [/^\/events\/(\d+)$/, "Seats", eventView],
  [/^\/bookings$/, "My bookings", bookingsView],
  [/^\/operations$/, "Operations", operationsView],
];

async function show() {
  leaving.abort();
  leaving = new AbortController();
  const { signal } = leaving;
  complain();
  // A question about what is shown no more is taken back.
  document.querySelector("dialog")?.close();
  drawTop();
  if (!session.token()) return signInView();
  const path = location.hash.slice(1) || "/events";
  const [pattern, name, view] = VIEWS.find(([one]) => one.test(path)) ?? VIEWS[0];
  document.title = `${name} · Holdfast`;
  replace(main, h("p", { class: "small" }, "one moment …"));
  main.setAttribute("aria-busy", "true");
  try {
    const given = { signal, events, cards: await testCards() };
    await view(main, given, ...(pattern.exec(path)?.slice(1) ?? []));
    main.querySelector("h1")?.focus({ preventScroll: true });
  } catch (error) {
    if (signal.aborted) return;
    if (!(error instanceof Refused)) throw error;
    complain(error.sentence);
    replace(main, h("p", { class: "actions" }, h("button", { type: "button", onclick: show }, "Try again")));
  } finally {
    if (!signal.aborted) main.removeAttribute("aria-busy");
  }
}

// Asked for once; and again, if there was no answer.
async function testCards() {
  try {
    cards ??= (await (await fetch("console/cards.json")).json()).testCards;
  } catch {
    throw new Refused(0, { message: "the gateway does not answer" });
  }
  return cards;
}

// The latest events, for their names.
async function events(signal) {
  return (await get("inventory/events", { pageSize: EVENTS }, signal)).events;
}

async function eventsView(place, { signal }) {
  const list = h("ul", { class: "events" });
  const more = h("p", { class: "actions" });
  replace(place, h("h1", { tabindex: -1 }, "What is on"), list, more);

  async function load(pageToken) {
    const page = await get("inventory/events", { pageSize: EVENTS, pageToken }, signal);
    list.append(...page.events.map(eventCard));
    if (!list.childElementCount) list.append(h("li", { class: "card" }, "There is no event yet. ", h("code", {}, "holdfast up"), " makes one."));
    const next = page.nextPageToken;
    replace(more, next && h("button", { type: "button", onclick: () => load(next).catch(complainOf) }, "Show older ones"));
  }

  await load("");
}

function eventCard(one) {
  const facts = `${new Intl.NumberFormat().format(one.seatCount)} seats · ${one.currency} · since ${moment(one.createdAt)}`;
  const name = h("strong", {}, h("bdi", {}, one.name));
  return h("li", {}, h("a", { class: "card event", href: `#/events/${one.eventId}` }, name, h("span", { class: "small" }, facts)));
}

function signInView() {
  document.title = "Sign in · Holdfast";
  const field = h("textarea", { id: "token", rows: 4, required: true, autocomplete: "off", spellcheck: "false" });
  const signIn = (event) => {
    event.preventDefault();
    session.signIn(field.value);
  };
  replace(
    main,
    h(
      "section",
      { class: "card signin" },
      h("h1", { tabindex: -1 }, "Sign in"),
      session.reason() && h("p", { class: "why", role: "alert" }, session.reason()),
      h("p", {}, "With a token. It stays in this tab, and goes nowhere but to this server."),
      h("form", { onsubmit: signIn }, h("label", { for: "token" }, "Token"), field, h("button", { type: "submit", class: "primary wide" }, "Sign in")),
      h("p", { class: "small" }, h("code", {}, "holdfast up"), " prints a link that has one. Another one: ", h("code", {}, "holdfast token --user ID"), ", with ", h("code", {}, "--scope admin"), " for operations."),
    ),
  );
  main.removeAttribute("aria-busy");
  field.focus();
}

function drawTop() {
  const nav = document.getElementById("nav");
  const entries = [["#/events", "Book"], ["#/bookings", "My bookings"], ...(session.isAdmin() ? [["#/operations", "Operations"]] : [])];
  const here = location.hash || "#/events";
  replace(nav, ...entries.map(([href, name]) => h("a", { href, "aria-current": here.startsWith(href) && "page" }, name)));
  nav.hidden = !session.token();
  document.getElementById("leave").hidden = !session.token();
  replace(document.getElementById("user"), session.token() && h("bdi", {}, session.user()));
}

function drawTheme() {
  const chosen = browser.get(THEME) ?? "";
  if (chosen) document.documentElement.dataset.theme = chosen;
  else delete document.documentElement.dataset.theme;
  const isDark = chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  const button = document.getElementById("theme");
  button.textContent = isDark ? "Light" : "Dark";
  button.setAttribute("aria-label", `Show it ${isDark ? "light" : "dark"}`);
  button.onclick = () => {
    browser.set(THEME, isDark ? "light" : "dark");
    drawTheme();
  };
}

session.takeFromAddress();
session.onChange(show);
document.querySelector(".skip").addEventListener("click", (event) => {
  // The address says which view is shown, and is left alone.
  event.preventDefault();
  main.focus();
});
document.getElementById("leave").addEventListener("click", () => session.leave());
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawTheme);
addEventListener("hashchange", () => {
  // A new token shows the page by itself.
  if (!session.takeFromAddress()) show();
});
addEventListener("unhandledrejection", (event) => {
  if (event.reason?.name === "AbortError") event.preventDefault();
  else complain(event.reason?.message ?? "something went wrong");
});
drawTheme();
show();
