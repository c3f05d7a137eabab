// What is said besides results: notices that stay until they are dismissed, and words that pass.

const SVG = "http://www.w3.org/2000/svg";
const $ = (id) => document.getElementById(id);
let passing = 0;

// Where the picture stays in sight while the page scrolls, it stays below the notice.
new ResizeObserver(() => {
  document.body.style.setProperty("--notice", `${$("notice").getBoundingClientRect().height}px`);
}).observe($("notice"));

/** Says something, with buttons [[name, act]]; gives the words, so that they can change. */
export function notice(text, buttons = []) {
  const close = makeButton("", hush, "button icon plain");
  close.setAttribute("aria-label", "Dismiss");
  close.append(icon("i-close"));
  const words = Object.assign(document.createElement("p"), { textContent: text });
  const acts = buttons.map(([name, act]) => makeButton(name, () => { hush(); act(); }));
  $("notice").replaceChildren(words, ...acts, close);
  return words;
}

/** Takes the notice away. */
export function hush() {
  $("notice").replaceChildren();
}

/** Says something for a moment. */
export function toast(text) {
  clearTimeout(passing);
  $("toast").textContent = $("live").textContent = text;
  $("toast").hidden = false;
  passing = setTimeout(() => ($("toast").hidden = true), 2500);
}

export function makeButton(text, act, className = "button") {
  const made = Object.assign(document.createElement("button"), { type: "button", textContent: text, className });
  made.addEventListener("click", act);
  return made;
}

function icon(name) {
  const svg = document.createElementNS(SVG, "svg"), use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#${name}`);
  svg.setAttribute("aria-hidden", "true");
  svg.append(use);
  return svg;
}
