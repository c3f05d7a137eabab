// Before anything is drawn: the colours that were chosen here last time; without a choice, those of the system.
// No module: those wait until the page has been read, and it would be drawn in other colours first.

/** What the browser keeps in "localStorage" or "sessionStorage"; where it may keep nothing, the page forgets. */
window.memory = {
  recall(storage, name) {
    try {
      return window[storage].getItem(name);
    } catch {  // the very word throws where storage is blocked
      return null;
    }
  },
  keep(storage, name, value) {
    try {
      window[storage].setItem(name, value);
    } catch {}  // the choice holds until the page is left
  },
};

const chosen = window.memory.recall("localStorage", "centermask-theme");
if (chosen) document.documentElement.dataset.theme = chosen;
