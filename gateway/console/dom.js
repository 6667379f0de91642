// Elements, made of parts. A text is a text node, whatever is in it: nothing is ever read as HTML.

const SVG = "http://www.w3.org/2000/svg";

// An element with attributes and children. `onclick` and the like are listeners; null and false
// are left out, of attributes as of children.
export function h(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

export function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

export function replace(parent, ...children) {
  parent.replaceChildren(...kept(children));
}

// Tell those who do not see the page; the same words again are told again.
export function say(text) {
  const place = document.getElementById("said");
  place.textContent = "";
  requestAnimationFrame(() => {
    place.textContent = text;
  });
}

// Tell everybody what went wrong; nothing takes the message away.
export function complain(text = "") {
  const place = document.getElementById("notice");
  replace(
    place,
    text && h("p", {}, text),
    text && h("button", { type: "button", class: "quiet", onclick: () => replace(place) }, "Close"),
  );
}

// Tell what went wrong, unless the page only went on, or asks for a token anyway.
export function complainOf(error) {
  if (error.name !== "AbortError" && error.status !== 401) complain(error.sentence ?? error.message);
}

// A question with a dialog; what its form said, or null. Escape is a no.
export function ask({ title, text, yes, no = "Go back", danger = false, note = "" }) {
  const field = note && h("textarea", { rows: 2, maxlength: 200, required: true, id: "note" });
  const dialog = h(
    "dialog",
    { "aria-labelledby": "asked" },
    h(
      "form",
      { method: "dialog" },
      h("h2", { id: "asked" }, title),
      h("p", {}, text),
      field && h("label", { for: "note" }, note),
      field,
      h(
        "p",
        { class: "actions" },
        h("button", { value: "", formnovalidate: true, class: "quiet" }, no),
        h("button", { value: "yes", class: danger ? "danger" : "" }, yes),
      ),
    ),
  );
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      const agreed = dialog.returnValue === "yes";
      dialog.remove();
      resolve(agreed ? { note: field ? field.value.trim() : "" } : null);
    });
  });
}

// Wait, unless the signal says that nobody waits any more.
export function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const timer = setTimeout(resolve, milliseconds);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });
}

// Do something now and then, while the page is seen, until the signal.
export async function every(milliseconds, signal, work) {
  while (!signal.aborted) {
    try {
      await pause(milliseconds, signal);
      if (!document.hidden) await work();
    } catch (error) {
      if (signal.aborted) return;
      console.warn("not refreshed:", error.message);
    }
  }
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...kept(children));
  return element;
}

function kept(children) {
  return children.flat().filter((one) => one !== null && one !== undefined && one !== false && one !== "");
}
