// What the page knows, and who wants to hear of it.

import { instanceColour } from "./colours.js";
import { Mask } from "./rle.js";

export class Store {
  #listeners = [];

  constructor(state) {
    this.state = state;
  }

  /** Calls `listener(now, before)` after every change. */
  subscribe(listener) {
    this.#listeners.push(listener);
  }

  set(change) {
    const before = this.state;
    this.state = { ...before, ...change };
    for (const listener of this.#listeners) listener(this.state, before);
  }
}

/** The objects of a server's answer, best first, each with its mask, colour and caption. */
export function readAnswer(answer) {
  return answer.instances.map((record, index) => ({
    index,
    record,
    name: record.category_name,
    category: record.category_id,
    score: record.score,
    caption: `${record.category_name} ${record.score.toFixed(2)}`,
    mask: new Mask(record.segmentation),
    colour: instanceColour(index),
  }));
}

/** The objects over the threshold, whether their class is shown or not. */
export function overThreshold({ found, threshold }) {
  return (found ?? []).filter(({ score }) => score >= threshold);
}

/** The objects that the page shows. */
export function shownOf(state) {
  return overThreshold(state).filter(({ category }) => !state.hidden.has(category));
}

/** The smallest shown object that holds a pixel of the picture; null if none does. */
export function objectAt(state, x, y) {
  const holding = shownOf(state).filter(({ mask }) => mask.contains(x, y));
  return holding.reduce((best, each) => (best && best.mask.area <= each.mask.area ? best : each), null);
}

/** How many of each class: [{category, name, count}], the commonest first. */
export function countClasses(found) {
  const counts = new Map();
  for (const { category, name } of found) {
    counts.set(category, { category, name, count: (counts.get(category)?.count ?? 0) + 1 });
  }
  return [...counts.values()].sort((a, b) => b.count - a.count || a.name.localeCompare(b.name));
}
