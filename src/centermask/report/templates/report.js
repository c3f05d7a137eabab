"use strict";
document.documentElement.classList.add("js");

// Sliders: all pictures of a set show the same evaluation.
for (const slider of document.querySelectorAll(".slider")) {
  const part = slider.parentElement, range = slider.querySelector("input");
  const output = slider.querySelector("output"), button = slider.querySelector("button");
  const words = JSON.parse(slider.dataset.words);
  let timer = 0;
  const show = () => {
    output.textContent = words[range.value];
    for (const each of part.querySelectorAll("[data-step]")) each.classList.toggle("on", each.dataset.step === range.value);
  };
  const stop = () => { clearInterval(timer); timer = 0; button.textContent = "Play"; };
  range.addEventListener("input", () => { stop(); show(); });
  button.addEventListener("click", () => {
    if (timer) return stop();
    if (range.value === range.max) range.value = 0;
    button.textContent = "Stop";
    show();
    timer = setInterval(() => {
      range.value = Number(range.value) + 1;
      show();
      if (range.value === range.max) stop();
    }, 700);
  });
  show();
}

// Tips: the titles of the drawings, without the browser's delay, and by touch as well.
const tip = document.body.appendChild(document.createElement("div"));
tip.className = "tip";
for (const title of document.querySelectorAll("svg title")) {
  title.parentElement.dataset.tip = title.textContent;
  title.parentElement.setAttribute("aria-label", title.textContent);
  title.remove();
}
document.addEventListener("pointermove", (event) => {
  const owner = event.target.closest?.("[data-tip]");
  tip.classList.toggle("on", Boolean(owner));
  if (!owner) return;
  tip.textContent = owner.dataset.tip;
  tip.style.left = `${Math.min(event.clientX + 12, innerWidth - tip.offsetWidth - 8)}px`;
  tip.style.top = `${event.clientY > 60 ? event.clientY - tip.offsetHeight - 10 : event.clientY + 18}px`;
});

// Navigation: the part that is read is marked.
const links = new Map([...document.querySelectorAll("nav a")].map((link) => [link.hash.slice(1), link]));
const seen = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    if (!entry.isIntersecting) continue;
    for (const link of links.values()) link.classList.remove("here");
    links.get(entry.target.id)?.classList.add("here");
  }
}, { rootMargin: "-10% 0px -80% 0px" });
for (const id of links.keys()) { const part = document.getElementById(id); if (part) seen.observe(part); }
