// What is known of the object that is pointed at, beside it.

import { css } from "./colours.js";
import { percent, pixels } from "./words.js";

/** Fills the tip with an object's class, scores and area. */
export function fillTip(tip, { name, colour, score, record, mask }) {
  const facts = {
    score: score.toFixed(2),
    box: record.box_score.toFixed(2),
    area: `${pixels(mask.area)} · ${percent(mask.area / (mask.width * mask.height))}`,
  };
  tip.querySelector(".swatch").style.background = css(colour);
  tip.querySelector("b").textContent = name;
  for (const [key, value] of Object.entries(facts)) tip.querySelector(`[data-fact=${key}]`).textContent = value;
}

/** Puts the tip beside the mouse, or over the box of the object, always whole on the stage. */
export function placeTip(tip, mouse, box, room) {
  const { offsetWidth: width, offsetHeight: height } = tip;
  const above = [(box.left + box.right - width) / 2, box.top - height - 30];
  const [x, y] = mouse ? besideMouse(mouse, width, height, room) : above;
  const inside = (place, space) => Math.round(Math.max(8, Math.min(place, space - 8)));
  tip.style.transform = `translate(${inside(x, room.width - width)}px, ${inside(y, room.height - height)}px)`;
}

function besideMouse({ x, y }, width, height, room) {
  const left = x + 16 + width > room.width ? x - width - 12 : x + 16;
  const top = y + 16 + height > room.height ? y - height - 12 : y + 16;
  return [left, top];
}
