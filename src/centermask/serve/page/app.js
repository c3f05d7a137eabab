// The page: a picture goes in, the server is asked once, and everything after that happens here.

import { takePicture } from "./camera.js";
import { hush, notice, toast } from "./notice.js";
import { Panel } from "./panel.js";
import { readPicture } from "./picture.js";
import { copy, download, toCoco, toCurl, toPng } from "./save.js";
import { fetchSample, showSamples } from "./samples.js";
import { Refusal, askModel, askObjects } from "./server.js";
import { Stage } from "./stage.js";
import { Store, countClasses, readAnswer, shownOf } from "./state.js";
import { bytes, countOf, listing, sentence } from "./words.js";

const LOWEST = 0.05;  // the threshold of requests; what lies below is noise
const PATIENCE = 5;  // how often a crowded server is asked again
const UNTOLD = ["", "application/octet-stream"];  // types of files of which the system knows none
const { memory } = window;  // of theme.js
const $ = (id) => document.getElementById(id);

const store = new Store({
  model: null, token: memory.recall("sessionStorage", "centermask-token") ?? "",
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
meetModel();

// The model.

/** Learns of the model; where it cannot, says so and gives false. `then` is what to try again. */
async function meetModel(then = meetModel) {
  try {
    const model = await askModel(store.state.token);
    const threshold = model.score_threshold, floor = Math.min(LOWEST, Math.floor(100 * threshold) / 100);
    store.set({ model, floor, threshold });
    introduce(model);
    return true;
  } catch (error) {
    explain(error, then);
    return false;
  }
}

function introduce({ weights, class_names: names, device, limits }) {
  const short = weights.split(/[\\/]/).at(-1);
  const bold = Object.assign(document.createElement("b"), { textContent: short });
  $("model").replaceChildren(bold, ` ${listing(names, 3)} · ${device}`);
  $("model").title = names.join(", ");
  const either = names.length > 5 ? "object" : listing(names).replace(" and ", " or ");
  $("promise").textContent = `Each ${either} that the model finds gets an outline, a name and a score.`;
  $("limits").textContent = `JPEG, PNG, WebP, GIF or BMP, up to ${bytes(limits.body_bytes)}`;
  showSamples(names, openSample);
}

// A picture comes in.

function listenToDoors() {
  $("file").addEventListener("change", () => {
    if ($("file").files[0]) open($("file").files[0]);
    $("file").value = "";  // so that the same file can be chosen again
  });
  addEventListener("paste", (event) => {
    const [file] = event.clipboardData.files;
    if (event.target === $("token")) return;
    if (file) open(file);
    else notice("There is no picture in the clipboard. Copy a picture, not its address.");
  });
  addEventListener("dragover", (event) => {
    event.preventDefault();
    $("veil").hidden = false;
  });
  addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) $("veil").hidden = true;  // it has left the window
  });
  addEventListener("drop", (event) => {
    event.preventDefault();
    $("veil").hidden = true;
    const [file, ...others] = event.dataTransfer.files;
    if (!file) return notice("This is no file. Save the picture first, then drop its file here.");
    open(file);
    if (others.length) toast("One at a time: the first picture was taken.");
  });
}

async function open(file) {
  const turn = ++opened;
  const reason = unfit(file);
  if (reason) return notice(reason);
  let bitmap;
  try {
    bitmap = await readPicture(file);
  } catch {
    if (turn === opened) notice(`${file.name} is broken, or no picture that the browser can show. Try a JPEG or PNG.`);
    return;
  }
  if (turn !== opened) return bitmap.close();
  const { width, height } = bitmap, most = store.state.model?.limits.pixels ?? Infinity;
  if (width * height > most) {
    bitmap.close();
    const limit = `this server takes ${Math.floor(most / 1e6)} million at most`;
    return notice(`${file.name} has ${width} × ${height} pixels; ${limit}. Scale it down.`);
  }
  replace({ file, bitmap, width, height, name: file.name });
  ask();
}

/** Why a file cannot be taken, or nothing. */
function unfit({ name, size, type }) {
  const most = store.state.model?.limits.body_bytes ?? Infinity;
  const likely = type.startsWith("image/") || UNTOLD.includes(type);  // whether it is one, the bytes will tell
  if (!likely) return `${name} is no picture that can be shown here. Take a JPEG, PNG, WebP, GIF or BMP.`;
  if (!size) return `${name} is empty. Copy or save the picture anew.`;
  if (size > most) return `${name} has ${bytes(size)}; this server takes ${bytes(most)} at most. Scale it down.`;
}

function replace(picture) {
  const before = store.state.picture;
  running.abort();
  store.set({ picture, phase: "busy", found: null, hidden: new Set(), pointed: null, selected: null });
  before?.bitmap.close();
}

async function openSample(name) {
  const file = await fetchSample(name);
  if (file) open(file);
  else notice("The server cannot be reached. Is it still running?");
}

// The server is asked.

async function ask(patience = PATIENCE) {
  const run = (running = new AbortController());
  store.set({ phase: "busy" });
  clearNotice();
  const met = store.state.model || (await meetModel(ask));
  if (run.signal.aborted) return;
  if (met) await askFor(run, patience);
  else store.set({ phase: "failed" });
}

async function askFor(run, patience) {
  const { picture, token, floor } = store.state, start = performance.now();
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
    else explain(error, ask);
  }
}

function tellOfSizes({ width, height }) {
  notice(`The server sees this picture as ${width} × ${height} pixels, the browser otherwise; the masks may not fit.`);
}

/** Counts the seconds down, then asks a crowded server again. */
function waitAndAsk(seconds, patience) {
  const again = () => ask(patience), text = () => `The server is busy. Asking again in ${seconds} s.`;
  const words = notice(text(), [["Ask now", again]]);
  countdown = setInterval(() => {
    seconds -= 1;
    words.textContent = text();
    if (seconds <= 0 || !words.isConnected) clearInterval(countdown);
    if (seconds <= 0 && words.isConnected) again();
  }, 1000);
}

function clearNotice() {
  clearInterval(countdown);
  hush();
}

function explain(error, again) {
  if (!(error instanceof Refusal)) {
    const text = "The server's answer cannot be read. Is it of the same version as this page?";
    return notice(text, [["Try again", () => again()]]);
  }
  if (error.kind === "token") return askToken(error.message, again);
  const act = error.kind === "picture" ? ["Choose another", chooseFile] : ["Try again", () => again()];
  return notice(sentence(error.message), [act]);
}

async function askToken(reason, again) {
  const dialog = $("ask-token");
  dialog.querySelector("[data-reason]").textContent = store.state.token ? sentence(reason) : "";
  dialog.returnValue = "";
  dialog.showModal();
  await new Promise((done) => dialog.addEventListener("close", done, { once: true }));
  if (dialog.returnValue !== "go") {
    return notice("Without a token this server answers nothing.", [["Enter it", () => askToken("", again)]]);
  }
  const token = $("token").value.trim();
  memory.keep("sessionStorage", "centermask-token", token);
  store.set({ token });
  clearNotice();
  return again();
}

// What is shown.

let spoken = 0;
function show(now, before) {
  if (now.phase !== before.phase) showPhase(now);
  if (now.picture !== before.picture || now.seconds !== before.seconds) showAbout(now);
  const steps = now.pointed !== before.pointed && document.activeElement === $("stage");
  if (steps && now.pointed) say(describe(now.pointed), 0);
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
  clearNotice();
  store.state.picture?.bitmap.close();
  store.set({ phase: "empty", picture: null, found: null, pointed: null, selected: null });
}

function changeTheme() {
  const { documentElement: root } = document;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  memory.keep("localStorage", "centermask-theme", root.dataset.theme);
}

async function savePng() {
  $("save-png").disabled = true;
  try {
    download(await toPng(store.state), `${stem()}_objects.png`);
    toast("PNG saved");
  } catch (error) {
    notice(`${sentence(error.message)} The server can: add format=png to the cURL command.`);
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
  else notice(command);
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
  clearNotice();
  store.set({ pointed: null, selected: null });
}
