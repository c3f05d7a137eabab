// Before anything is drawn: the colours that were chosen here last time; without a choice, those of the system.
const chosen = localStorage.getItem("centermask-theme");
if (chosen) document.documentElement.dataset.theme = chosen;
