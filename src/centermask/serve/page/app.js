// The page: a picture goes in, the server is asked once, and everything after that happens here.

import { takePicture } from "./camera.js";
import { Panel } from "./panel.js";
import { copy, download, toCoco, toCurl, toPng } from "./save.js";
import { Refusal, askModel, askObjects } from "./server.js";
import { Stage } from "./stage.js";
import { Store, countClasses, readAnswer, shownOf } from "./state.js";
import { bytes, countOf, listing, sentence } from "./words.js";

const LOWEST = 0.05;  // the threshold of requests; what lies below is noise
const PATIENCE = 5;  // how often a crowded server is asked again
const TYPES = ["image/jpeg", "image/png", "image/webp", "image/gif", "image/bmp"];
const $ = (id) => document.getElementById(id);

const store = new Store({
  model: null, token: sessionStorage.getItem("centermask-token") ?? "",
  phase: "empty", picture: null, found: null, seconds: 0,
  floor: LOWEST, threshold: 0.5, opacity: 0.4, captions: true, hidden: new Set(), pointed: null, selected: null,
});
const stage = new Stage($("stage"), store);
const panel = new Panel(store);
let opened = 0;  // how many pictures were opened; a slow one gives way to a later one
let running = new AbortController();
let countdown = 0;

store.subscribe(show);
listenToDoors();
listenToButtons();
listenToKeys();
showSamples();
meetModel();

// The model.

async function meetModel() {
  try {
    const model = await askModel(store.state.token);
    const floor = Math.min(LOWEST, model.score_threshold);
    store.set({ model, floor, threshold: model.score_threshold });
    introduce(model);
  } catch (error) {
    explain(error, meetModel);
  }
}

function introduce({ weights, class_names: names, device, limits }) {
  const short = weights.split(/[\\/]/).at(-1);
  $("model").replaceChildren(Object.assign(document.createElement("b"), { textContent: short }), ` ${listing(names, 3)} · ${device}`);
  $("model").title = names.join(", ");
  $("promise").textContent = `Drop one in: each ${listing(names, 4).replace(" and ", " or ")} that the model finds gets an outline, a name and a score.`;
  $("limits").textContent = `JPEG, PNG, WebP, GIF or BMP, up to ${bytes(limits.body_bytes)}`;
  for (const sample of $("samples").children) orderSample(sample, names);
}

// A picture comes in.

function listenToDoors() {
  $("file").addEventListener("change", () => {
    if ($("file").files[0]) open($("file").files[0]);
    $("file").value = "";  // so that the same file can be chosen again
  });
  addEventListener("paste", (event) => {
    const [file] = event.clipboardData.files;
    if (file) open(file);
    else if (!event.target.closest("input")) tell("There is no picture in the clipboard. Copy a picture, not its address.");
  });
  for (const name of ["dragenter", "dragover"]) addEventListener(name, (event) => { event.preventDefault(); $("veil").hidden = false; });
  addEventListener("dragleave", (event) => { if (!event.relatedTarget) $("veil").hidden = true; });
  addEventListener("drop", (event) => {
    event.preventDefault();
    $("veil").hidden = true;
    const [file, ...others] = event.dataTransfer.files;
    if (!file) return tell("This is no file. Save the picture first, then drop its file here.");
    open(file);
    if (others.length) toast("One at a time: the first picture was taken.");
  });
}

async function open(file) {
  const turn = ++opened;
  const reason = unfit(file);
  if (reason) return tell(reason);
  let bitmap;
  try {
    bitmap = await createImageBitmap(file);
  } catch {
    return turn === opened && tell(`${file.name} is broken, or no picture that the browser can show. Try a JPEG or PNG.`);
  }
  if (turn !== opened) return bitmap.close();
  const { width, height } = bitmap, most = store.state.model?.limits.pixels ?? Infinity;
  if (width * height > most) {
    bitmap.close();
    return tell(`${file.name} has ${width} × ${height} pixels; this server takes ${Math.floor(most / 1e6)} million at most. Scale it down.`);
  }
  replace({ file, bitmap, width, height, name: file.name });
  ask();
}

/** Why a file cannot be taken, or nothing. */
function unfit({ name, size, type }) {
  const most = store.state.model?.limits.body_bytes ?? Infinity;
  if (!TYPES.includes(type)) return `${name} is no picture that can be shown here. Take a JPEG, PNG, WebP, GIF or BMP.`;
  if (!size) return `${name} is empty. Copy or save the picture anew.`;
  if (size > most) return `${name} has ${bytes(size)}; this server takes ${bytes(most)} at most. Scale the picture down.`;
}

function replace(picture) {
  const before = store.state.picture;
  running.abort();
  store.set({ picture, phase: "busy", found: null, hidden: new Set(), pointed: null, selected: null });
  before?.bitmap.close();
  hush();
}

// The server is asked.

async function ask(patience = PATIENCE) {
  const run = (running = new AbortController());
  const { picture, token, floor } = store.state, start = performance.now();
  store.set({ phase: "busy" });
  hush();
  try {
    const answer = await askObjects(picture.file, { threshold: floor, token, signal: run.signal });
    const found = readAnswer(answer);
    if (run.signal.aborted) return;
    store.set({ phase: "done", found, seconds: (performance.now() - start) / 1000 });
    if (answer.width !== picture.width || answer.height !== picture.height) tellOfSizes(answer);
  } catch (error) {
    if (run.signal.aborted) return;
    store.set({ phase: "failed" });
    if (error.kind === "crowded" && patience) waitAndAsk(error.seconds, patience - 1);
    else explain(error, () => ask());
  }
}

function tellOfSizes({ width, height }) {
  tell(`The server sees this picture as ${width} × ${height} pixels, the browser otherwise; the masks may not fit.`);
}

/** Counts the seconds down, then asks a crowded server again. */
function waitAndAsk(seconds, patience) {
  const again = () => ask(patience);
  const words = () => `The server is busy. Asking again in ${seconds} s.`;
  notice(words(), [["Ask now", again]]);
  countdown = setInterval(() => {
    if (--seconds <= 0) return again();
    $("notice").querySelector("p").textContent = words();
  }, 1000);
}

async function explain(error, again) {
  if (!(error instanceof Refusal)) return notice("The server's answer cannot be read. Is it of the same version as this page?", [["Try again", again]]);
  if (error.kind === "token") return askToken(error.message, again);
  notice(sentence(error.message), error.kind === "picture" ? [["Choose another", chooseFile]] : [["Try again", again]]);
}

async function askToken(reason, again) {
  const dialog = $("ask-token");
  dialog.querySelector("[data-reason]").textContent = store.state.token ? sentence(reason) : "";
  dialog.returnValue = "";
  dialog.showModal();
  await new Promise((done) => dialog.addEventListener("close", done, { once: true }));
  if (dialog.returnValue !== "go") return notice("Without a token this server answers nothing.", [["Enter it", () => askToken("", again)]]);
  const token = $("token").value.trim();
  sessionStorage.setItem("centermask-token", token);
  store.set({ token });
  hush();
  if (again !== meetModel && !store.state.model) await meetModel();
  again();
}

// What is said.

function tell(text) {
  notice(text, []);
}

function notice(text, buttons) {
  clearInterval(countdown);
  const close = button("", hush, "button icon plain");
  close.setAttribute("aria-label", "Dismiss");
  close.append(icon("i-close"));
  const words = Object.assign(document.createElement("p"), { textContent: text });
  $("notice").replaceChildren(words, ...buttons.map(([name, act]) => button(name, () => { hush(); act(); })), close);
}

function hush() {
  clearInterval(countdown);
  $("notice").replaceChildren();
}

let toasted = 0;
function toast(text) {
  clearTimeout(toasted);
  $("toast").textContent = $("live").textContent = text;
  $("toast").hidden = false;
  toasted = setTimeout(() => ($("toast").hidden = true), 2500);
}

function button(text, act, className = "button") {
  const made = Object.assign(document.createElement("button"), { type: "button", textContent: text, className });
  made.addEventListener("click", act);
  return made;
}

function icon(name) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg"), use = document.createElementNS(space, "use");
  use.setAttribute("href", `#${name}`);
  svg.setAttribute("aria-hidden", "true");
  svg.append(use);
  return svg;
}

// What is shown.

let spoken = 0;
function show(now, before) {
  if (now.phase !== before.phase) showPhase(now);
  if (now.picture !== before.picture || now.seconds !== before.seconds) showAbout(now);
  if (now.pointed && now.pointed !== before.pointed && document.activeElement === $("stage")) say(describe(now.pointed), 0);
  else if (["found", "threshold", "hidden"].some((key) => now[key] !== before[key])) say(summary(now), 400);
}

function showPhase({ phase, picture }) {
  document.body.dataset.phase = phase;
  $("stage").setAttribute("aria-busy", String(phase === "busy"));
  for (const id of ["save-png", "save-json", "copy-curl", "threshold"]) $(id).disabled = phase !== "done";
  if (phase === "busy") say(`Looking at ${picture.name}.`, 0);
}

function showAbout({ picture, seconds, phase }) {
  if (!picture) return;
  const took = phase === "done" ? ` · ${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s` : "";
  $("about").textContent = `${picture.name} · ${picture.width} × ${picture.height}${took}`;
  $("stage").setAttribute("aria-label", `Picture ${picture.name}`);
}

function summary(state) {
  if (state.phase !== "done") return "";
  const shown = shownOf(state), classes = countClasses(shown).map(({ name, count }) => `${name} ${count}`);
  return shown.length ? `${countOf(shown.length, "object")}: ${listing(classes, 8)}.` : $("nothing").textContent;
}

function describe({ name, score, mask }) {
  return `${name}, score ${score.toFixed(2)}, ${mask.area} pixels.`;
}

/** Tells a screen reader; while a slider moves, only where it comes to rest. */
function say(text, delay) {
  clearTimeout(spoken);
  spoken = setTimeout(() => ($("live").textContent = text), delay);
}

// Samples.

async function showSamples() {
  const samples = await fetch("page/samples/samples.json").then((answer) => answer.json()).catch(() => []);
  $("samples").replaceChildren(...samples.map(sampleItem));
  if (store.state.model) for (const item of $("samples").children) orderSample(item, store.state.model.class_names);
}

function sampleItem({ file, title, alt, licence, shows }) {
  const picture = Object.assign(document.createElement("img"), { src: `page/samples/${file}`, alt, loading: "lazy" });
  const name = Object.assign(document.createElement("span"), { textContent: title });
  const open = button("", () => openSample(file), "sample");
  open.title = licence;
  open.append(picture, name);
  const item = document.createElement("li");
  item.append(open);
  item.shows = shows;
  return item;
}

/** Samples whose classes the model does not know come last. */
function orderSample(item, names) {
  item.style.order = item.shows.some((each) => names.includes(each)) ? 0 : 1;
}

async function openSample(file) {
  const answer = await fetch(`page/samples/${file}`).catch(() => null);
  if (!answer?.ok) return tell("The server cannot be reached. Is it still running?");
  open(new File([await answer.blob()], file, { type: "image/jpeg" }));
}

// Buttons and keys.

function listenToButtons() {
  const acts = {
    choose: chooseFile, again: chooseFile, shoot: useCamera, "shoot-again": useCamera, home: goHome, theme: changeTheme,
    "zoom-in": () => stage.zoom(1.6), "zoom-out": () => stage.zoom(1 / 1.6), "zoom-fit": () => stage.fit(),
    "save-png": savePng, "save-json": saveJson, "copy-curl": copyCurl,
  };
  for (const [id, act] of Object.entries(acts)) $(id).addEventListener("click", act);
}

function chooseFile() {
  $("file").click();
}

async function useCamera() {
  const file = await takePicture($("camera"));
  if (file) open(file);
  else if ($("camera").returnValue === "choose") chooseFile();
}

function goHome() {
  opened++;
  running.abort();
  hush();
  store.state.picture?.bitmap.close();
  store.set({ phase: "empty", picture: null, found: null, pointed: null, selected: null });
}

function changeTheme() {
  const { documentElement: root } = document;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  localStorage.setItem("centermask-theme", root.dataset.theme);
}

async function savePng() {
  $("save-png").disabled = true;
  try {
    download(await toPng(store.state), `${stem()}_objects.png`);
    toast("PNG saved");
  } catch (error) {
    tell(`${sentence(error.message)} The server can: add format=png to the cURL command.`);
  }
  $("save-png").disabled = false;
}

function saveJson() {
  download(new Blob([JSON.stringify(toCoco(store.state))], { type: "application/json" }), `${stem()}_coco.json`);
  toast("COCO JSON saved");
}

async function copyCurl() {
  const command = toCurl(store.state, new URL("predict", document.baseURI).href);
  if (await copy(command)) toast("Command copied");
  else tell(command);
}

function stem() {
  return store.state.picture.name.replace(/\.[^.]*$/, "") || "picture";
}

function listenToKeys() {
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    const act = event.key === "Escape" ? letGo : keyOf(event);
    if (!act) return;
    event.preventDefault();
    act();
  });
}

/** What a key does where the picture or the list has the focus. */
function keyOf({ key, target }) {
  if (target !== $("stage") && target !== $("list")) return null;
  switch (key) {
    case "ArrowDown": case "ArrowRight": return () => panel.step(1);
    case "ArrowUp": case "ArrowLeft": return () => panel.step(-1);
    case "Home": return () => panel.step(-Infinity);
    case "End": return () => panel.step(Infinity);
    case "Enter": case " ": return () => store.set({ selected: store.state.pointed ?? store.state.selected });
    case "+": case "=": return () => stage.zoom(1.6);
    case "-": return () => stage.zoom(1 / 1.6);
    case "0": return () => stage.fit();
    default: return null;
  }
}

function letGo() {
  hush();
  store.set({ pointed: null, selected: null });
}
