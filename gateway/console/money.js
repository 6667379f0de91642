// Amounts, exactly. JSON has them as numbers of 15 digits at most, which come and go unchanged;
// what is done with them here is done with whole numbers.

// An amount as its digits, `75.00` or `75`, however the gateway was told to write it.
export function digits(amount) {
  const text = String(typeof amount === "object" && amount !== null ? amount.value : amount);
  if (!/^\d+(\.\d+)?$/.test(text)) throw new Error("no amount");
  return text;
}

export function sum(amounts) {
  const texts = amounts.map(digits);
  const places = Math.max(0, ...texts.map((one) => decimals(one).length));
  const total = texts.reduce((left, one) => left + minor(one, places), 0n);
  return text(total, places);
}

// Less than 0, 0 or more, as the first is less than, equal to or more than the second.
export function compare(left, right) {
  const places = Math.max(decimals(digits(left)).length, decimals(digits(right)).length);
  const difference = minor(digits(left), places) - minor(digits(right), places);
  return Number(difference > 0n) - Number(difference < 0n);
}

// As people read it, by their language and the currency's own rules.
export function shown(amount, currency) {
  const exact = digits(amount);
  const style = { style: "currency", currency };
  try {
    const usual = new Intl.NumberFormat(undefined, style);
    const places = decimals(exact).length;
    if (places <= usual.resolvedOptions().maximumFractionDigits) return usual.format(exact);
    // Browsers leave out coins that are seldom seen, of HUF and others: they are charged all the same.
    return new Intl.NumberFormat(undefined, { ...style, minimumFractionDigits: places }).format(exact);
  } catch {
    return `${exact} ${currency}`;
  }
}

function decimals(one) {
  return one.split(".")[1] ?? "";
}

function minor(one, places) {
  const [whole] = one.split(".");
  return BigInt(whole + decimals(one).padEnd(places, "0"));
}

function text(total, places) {
  if (places === 0) return String(total);
  const padded = String(total).padStart(places + 1, "0");
  return `${padded.slice(0, -places)}.${padded.slice(-places)}`;
}
