// Pictures for those who have none at hand.

import { makeButton } from "./notice.js";

const list = document.getElementById("samples");

/** Shows the samples; `choose(file)` is called with the name of the one that is taken. */
export async function showSamples(choose) {
  const samples = await fetch("page/samples/samples.json").then((answer) => answer.json()).catch(() => []);
  list.replaceChildren(...samples.map((sample) => makeItem(sample, choose)));
}

function makeItem({ file, title, alt, licence, shows }, choose) {
  const picture = Object.assign(document.createElement("img"), { src: `page/samples/${file}`, alt });
  const open = makeButton("", () => choose(file), "sample");
  open.title = licence;
  open.append(picture, Object.assign(document.createElement("span"), { textContent: title }));
  const item = document.createElement("li");
  item.shows = shows;
  item.append(open);
  return item;
}

/** Samples of classes that the model knows come first. */
export function orderSamples(names) {
  const fits = (item) => item.shows.some((each) => names.includes(each));
  list.append(...[...list.children].sort((a, b) => fits(b) - fits(a)));
}

/** A sample's file; null if the server does not give it. */
export async function fetchSample(file) {
  const answer = await fetch(`page/samples/${file}`).catch(() => null);
  return answer?.ok ? new File([await answer.blob()], file, { type: "image/jpeg" }) : null;
}
