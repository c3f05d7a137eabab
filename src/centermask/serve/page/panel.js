// The results beside the picture: how many, which classes, one by one; and the controls, which act at once.

import { css } from "./colours.js";
import { countClasses, overThreshold, shownOf } from "./state.js";
import { countOf, fraction, hundredths, listing, percent, pixels } from "./words.js";

const BINS = 48;
const SVG = "http://www.w3.org/2000/svg";
const $ = (id) => document.getElementById(id);

export class Panel {
  #store;

  constructor(store) {
    this.#store = store;
    this.#listenToControls();
    this.#listenToList();
    store.subscribe((now, before) => this.#follow(now, before));
  }

  /** Points at the object that stands so many places further down the list. */
  step(by) {
    const { state } = this.#store, shown = shownOf(state);
    if (!shown.length) return;
    const here = shown.indexOf(state.pointed ?? state.selected);
    const last = shown.length - 1, next = here < 0 && by === -1 ? last : Math.min(last, Math.max(0, here + by));
    this.#store.set({ pointed: shown[next] });
  }

  #listenToControls() {
    const on = (id, read) => $(id).addEventListener("input", () => this.#store.set(this.#keep(read($(id)))));
    on("threshold", (slider) => ({ threshold: hundredths(slider.valueAsNumber) }));
    on("opacity", (slider) => ({ opacity: slider.valueAsNumber }));
    on("captions", (box) => ({ captions: box.checked }));
    $("classes").addEventListener("click", (event) => {
      const chip = event.target.closest("button");
      if (chip) this.#toggle(Number(chip.dataset.category));
    });
  }

  #toggle(category) {
    const hidden = new Set(this.#store.state.hidden);
    if (!hidden.delete(category)) hidden.add(category);
    this.#store.set(this.#keep({ hidden }));
  }

  /** A change after which only what is still shown stays pointed at or selected. */
  #keep(change) {
    const next = { ...this.#store.state, ...change }, shown = shownOf(next);
    const still = (found) => (shown.includes(found) ? found : null);
    return { ...change, pointed: still(next.pointed), selected: still(next.selected) };
  }

  #listenToList() {
    const rowOf = (event) => event.target.closest("li");
    const foundOf = (row) => this.#store.state.found[Number(row.dataset.index)];
    $("list").addEventListener("pointerover", (event) => {
      if (rowOf(event) && event.pointerType === "mouse") this.#store.set({ pointed: foundOf(rowOf(event)) });
    });
    $("list").addEventListener("pointerleave", () => this.#store.set({ pointed: null }));
    $("list").addEventListener("focus", () => {
      if (!this.#store.state.pointed && $("list").matches(":focus-visible")) this.step(0);
    });
    $("list").addEventListener("blur", () => this.#store.set({ pointed: null }));
    $("list").addEventListener("click", (event) => {
      if (!rowOf(event)) return;
      const found = foundOf(rowOf(event));
      this.#store.set({ selected: this.#store.state.selected === found ? null : found });
    });
  }

  #follow(now, before) {
    const changed = (...keys) => keys.some((key) => now[key] !== before[key]);
    if (changed("found", "threshold", "opacity", "captions", "model")) this.#showControls(now);
    if (changed("found", "threshold", "model")) this.#showHistogram(now);
    if (changed("found", "threshold", "hidden", "phase")) this.#showObjects(now);
    const chosen = ["pointed", "selected"].some((key) => now[key] && now[key] !== before[key]);
    if (changed("found", "threshold", "hidden", "pointed", "selected")) this.#mark(now, chosen);
  }

  #showControls({ floor, threshold, opacity, captions }) {
    const step = hundredths(threshold) === threshold ? 0.01 : "any";  // or the slider would move to the next step
    Object.assign($("threshold"), { min: floor, max: 1, step });
    $("threshold").value = threshold;
    $("threshold-value").textContent = fraction(threshold);
    $("threshold").style.setProperty("--share", percentOf(threshold, floor));
    $("opacity").value = opacity;
    $("opacity-value").textContent = `${Math.round(100 * opacity)} %`;
    $("opacity").style.setProperty("--share", percentOf(opacity, 0));
    $("captions").checked = captions;
  }

  /** Where the scores lie, over the slider: what a lower threshold would bring. */
  #showHistogram({ found, floor, threshold }) {
    const bins = new Array(BINS).fill(0);
    for (const { score } of found ?? []) bins[Math.min(BINS - 1, Math.floor(((score - floor) / (1 - floor)) * BINS))]++;
    const most = Math.max(1, ...bins);
    const cut = ((threshold - floor) / (1 - floor)) * BINS;
    $("histogram").setAttribute("viewBox", `0 0 ${BINS} 1`);
    $("histogram").replaceChildren(...bins.map((count, i) => bar(i, Math.sqrt(count / most), i + 0.99 > cut)));
  }

  #showObjects(state) {
    const over = overThreshold(state), shown = shownOf(state);
    const words = { busy: "Looking…", failed: "No answer yet", done: countOf(shown.length, "object"), empty: "" };
    $("summary").textContent = words[state.phase];
    $("hint").textContent = hint(state, over);
    $("nothing").hidden = state.phase !== "done" || shown.length > 0;
    $("nothing").textContent = over.length ? "All classes are switched off." : emptiness(state);
    $("list").hidden = $("columns").hidden = !shown.length;
    this.#showClasses(over, state.hidden);
    this.#showList(shown);
  }

  #showClasses(over, hidden) {
    const focused = document.activeElement?.dataset?.category;
    $("classes").replaceChildren(...countClasses(over).map((each) => chip(each, !hidden.has(each.category))));
    if (focused) $("classes").querySelector(`[data-category="${focused}"]`)?.focus();
  }

  #showList(shown) {
    const rows = new Map([...$("list").children].map((row) => [row.found, row]));
    $("list").replaceChildren(...shown.map((found) => rows.get(found) ?? listRow(found)));
  }

  /** Marks the rows; one that was just chosen comes into sight. Letting go must not scroll back to another. */
  #mark({ pointed, selected }, chosen) {
    const active = pointed ?? selected;
    for (const row of $("list").children) {
      row.setAttribute("aria-selected", String(row.found === selected));
      row.classList.toggle("pointed", row.found === active);
      if (row.found === active && chosen && !row.matches(":hover")) row.scrollIntoView({ block: "nearest" });
    }
    if (active) $("list").setAttribute("aria-activedescendant", `object-${active.index}`);
    else $("list").removeAttribute("aria-activedescendant");
  }
}

function percentOf(value, from) {
  return `${(100 * (value - from)) / (1 - from)}%`;
}

function bar(place, height, on) {
  const rect = document.createElementNS(SVG, "rect");
  const sides = { x: place + 0.15, width: 0.7, y: 1 - height, height };
  for (const [key, value] of Object.entries(sides)) rect.setAttribute(key, value);
  rect.classList.toggle("on", on);
  return rect;
}

function hint({ found, phase }, over) {
  if (phase !== "done" || !found.length) return "";
  const rest = found.length - over.length;
  return rest ? `${rest} less certain below` : "Nothing less certain below";
}

function emptiness({ found, model }) {
  const classes = `The model knows ${listing(model.class_names)}.`;
  if (!found?.length) return `Nothing was found in this picture. ${classes}`;
  const best = found[0].score.toFixed(2);
  return `Nothing is that certain; the best score is ${best}. Lower the threshold to see it. ${classes}`;
}

function chip({ category, name, count }, on) {
  const button = element("button", { type: "button", className: "chip" }, [
    element("span", { textContent: name }), element("b", { textContent: count }),
  ]);
  button.dataset.category = category;
  button.setAttribute("aria-pressed", String(on));
  return button;
}

function listRow(found) {
  const { index, name, score, colour, mask } = found, share = percent(mask.area / (mask.width * mask.height));
  const swatch = element("span", { className: "swatch" });
  swatch.style.background = css(colour);
  const row = element("li", { id: `object-${index}`, found }, [
    swatch,
    element("span", { className: "name", textContent: name }),
    element("span", { className: "area", textContent: share, title: pixels(mask.area) }),
    element("span", { className: "score", textContent: score.toFixed(2) }),
  ]);
  row.dataset.index = index;
  row.setAttribute("role", "option");
  row.setAttribute("aria-label", `${name}, score ${score.toFixed(2)}, ${pixels(mask.area)}`);
  return row;
}

function element(tag, properties, children = []) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}
