// Who is signed in: a token, kept for this tab, and never part of an address that is sent.

import { tab } from "./storage.js";

const PLACE = "holdfast.token";
const listeners = new Set();
let why = "";

// A link brings its token after the `#`, which no browser sends. It is taken out of the address
// before anything else is done.
export function takeFromAddress() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given === null) return false;
  const after = new URLSearchParams(location.hash.slice(1)).get("then") ?? "/events";
  history.replaceState(null, "", `${location.pathname}#${after.startsWith("/") ? after : "/events"}`);
  signIn(given);
  return true;
}

export function signIn(text) {
  if (claimsOf(text.trim()) === null) return leave("This is no token: a token has three parts, with points between them.");
  tab.set(PLACE, text.trim());
  why = "";
  tell();
}

// Sign out, and say why on the page that asks for a token.
export function leave(reason = "") {
  tab.remove(PLACE);
  why = reason;
  tell();
}

export function token() {
  return tab.get(PLACE);
}

// What the token says of its holder. Whether it is true is for the services to say.
export function claims() {
  return claimsOf(token() ?? "");
}

export function user() {
  return String(claims()?.sub ?? "");
}

export function isAdmin() {
  return String(claims()?.scope ?? "").split(" ").includes("admin");
}

export function reason() {
  return why;
}

export function onChange(listener) {
  listeners.add(listener);
}

// A call was refused because of the token.
export function refused(error) {
  if (error === "TOKEN_EXPIRED") return leave(overSince(claims() ?? {}));
  leave("The services refuse this token: it is of another stack, or altered. Paste another one.");
}

function overSince(read) {
  const at = read.exp ? ` since ${new Date(read.exp * 1000).toLocaleTimeString()}` : "";
  return `Your token is over${at}. Paste a new one: what you have begun goes on, and is shown again.`;
}

function claimsOf(text) {
  try {
    const [, middle, last] = text.split(".");
    if (last === undefined) return null;
    const bytes = atob(middle.replaceAll("-", "+").replaceAll("_", "/"));
    const read = JSON.parse(new TextDecoder().decode(Uint8Array.from(bytes, (one) => one.charCodeAt(0))));
    return typeof read === "object" ? read : null;
  } catch {
    return null;
  }
}

function tell() {
  for (const listener of listeners) listener();
}
