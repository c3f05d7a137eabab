// Numbers and counts as people write them.

export function countOf(count, noun) {
  return `${count === 0 ? "No" : count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
}

export function bytes(count) {
  return count < 1e6 ? `${Math.round(count / 1e3)} kB` : `${Number((count / 1e6).toFixed(1))} MB`;
}

export function pixels(count) {
  return `${count.toLocaleString("en")} px`;
}

/** The nearest number of two decimal places. */
export function hundredths(value) {
  return Number(value.toFixed(2));
}

/** With two decimal places, and with more only where two would tell another number. */
export function fraction(value) {
  return hundredths(value) === value ? value.toFixed(2) : String(value);
}

/** A share, 0 to 1, in per cent. */
export function percent(share) {
  if (share > 0 && share < 0.001) return "< 0.1 %";
  return `${(100 * share).toFixed(share < 0.0995 ? 1 : 0)} %`;
}

/** "cat, person and dog"; of many, the first few and how many more. */
export function listing(names, most = 4) {
  const shown = names.length > most + 1 ? [...names.slice(0, most), `${names.length - most} more`] : names;
  return shown.length < 2 ? shown.join("") : `${shown.slice(0, -1).join(", ")} and ${shown.at(-1)}`;
}

/** A sentence that begins with a capital and ends with a stop, as servers' messages may not. */
export function sentence(text) {
  const whole = text.trim();
  return whole.charAt(0).toUpperCase() + whole.slice(1) + (/[.!?…]$/.test(whole) ? "" : ".");
}
