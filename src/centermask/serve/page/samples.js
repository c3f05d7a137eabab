// Pictures for those who have none at hand.

import { makeButton } from "./notice.js";

const list = document.getElementById("samples");

/**
 * Shows the samples of classes that the model knows: on others it would find nothing. Without any, no word of samples.
 * `choose(file)` is called with the name of the one that is taken.
 */
export async function showSamples(names, choose) {
  const samples = await fetch("page/samples/samples.json").then((answer) => answer.json()).catch(() => []);
  const known = samples.filter(({ shows }) => shows.some((each) => names.includes(each)));
  list.replaceChildren(...known.map((sample) => makeItem(sample, choose)));
  list.parentElement.hidden = !known.length;
}

function makeItem({ file, title, alt, licence }, choose) {
  const picture = Object.assign(document.createElement("img"), { src: `page/samples/${file}`, alt });
  const open = makeButton("", () => choose(file), "sample");
  open.title = licence;
  open.append(picture, Object.assign(document.createElement("span"), { textContent: title }));
  const item = document.createElement("li");
  item.append(open);
  return item;
}

/** A sample's file; null if the server does not give it. */
export async function fetchSample(file) {
  const answer = await fetch(`page/samples/${file}`).catch(() => null);
  return answer?.ok ? new File([await answer.blob()], file, { type: "image/jpeg" }) : null;
}
