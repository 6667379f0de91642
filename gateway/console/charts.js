// Small charts, drawn as SVG; what they say stands beside them in words, too.

import { svg } from "./dom.js";

const WIDTH = 300;
const HEIGHT = 64;
const GAP = 1;
const BAR_MAX = 10;

// How the bookings ended, as one bar of parts.
export function shares(counts) {
  const all = counts.reduce((sum, one) => sum + one.count, 0);
  let at = 0;
  const parts = counts.map((one) => {
    const width = all ? (one.count / all) * WIDTH : 0;
    const part = svg("rect", { class: `part ${one.kind}`, x: at, y: 0, width: Math.max(0, width - GAP), height: 18, rx: 2 }, svg("title", {}, `${one.name}: ${one.count}`));
    at += width;
    return part;
  });
  const words = counts.map((one) => `${one.name} ${one.count}`).join(", ");
  return svg("svg", { class: "chart shares", viewBox: `0 0 ${WIDTH} 18`, role: "img", "aria-label": words, preserveAspectRatio: "none" }, ...parts);
}

// A bar each, oldest first: how long it took, and how it ended. The line is the median.
export function latencies(bookings, median) {
  const width = Math.min(BAR_MAX, WIDTH / Math.max(1, bookings.length));
  const most = Math.max(0.001, ...bookings.map((one) => one.tookS ?? 0));
  const y = (seconds) => HEIGHT - (seconds / most) * (HEIGHT - 4);
  const bars = bookings.map((one, index) => {
    const top = one.tookS === null ? HEIGHT - 4 : y(one.tookS);
    return svg(
      "rect",
      { class: `part ${one.kind}`, x: index * width, y: top, width: Math.max(0.5, width - GAP), height: HEIGHT - top, rx: 1 },
      svg("title", {}, `${one.name}: ${one.tookS === null ? "no time" : `${one.tookS.toFixed(2)} s`}`),
    );
  });
  const line = median === null ? null : svg("line", { class: "median", x1: 0, x2: WIDTH, y1: y(median), y2: y(median) });
  const words = `Seconds from the request to the end of ${bookings.length} bookings, ${most.toFixed(2)} at most`;
  return svg("svg", { class: "chart", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": words, preserveAspectRatio: "none" }, svg("line", { class: "axis", x1: 0, x2: WIDTH, y1: HEIGHT, y2: HEIGHT }), ...bars, line);
}

// The value below which so many of them are.
export function quantile(values, share) {
  if (!values.length) return null;
  const sorted = [...values].sort((left, right) => left - right);
  return sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)];
}
