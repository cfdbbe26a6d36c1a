// Keeps a page fresh: server-sent events tell that something changed; when they fail, polling takes over.
// The page holds <div data-live data-stream="…">; whoever listens for "changed" on body refreshes itself.
const POLL_MS = 5000;
const SILENT_MS = 25000;

const holder = document.querySelector("[data-live]");
const light = document.querySelector("[data-live-state]");
let lastSign = 0;
let timer = 0;

function say(state, text) {
  if (!light) return;
  light.dataset.state = state;
  light.textContent = text;
}

// The page may be connected and yet show what is old, because nobody drives the session.
function sayConnected() {
  const isOld = document.querySelector("[data-old]") !== null;
  say(isOld ? "old" : "live", isOld ? "Connected, data old" : "Live");
}

const changed = () => document.body.dispatchEvent(new CustomEvent("changed"));

function startPolling() {
  if (timer) return;
  say("polling", "Polling every 5 s");
  timer = setInterval(changed, POLL_MS);
}

function stopPolling() {
  clearInterval(timer);
  timer = 0;
  sayConnected();
}

function listen(url) {
  const source = new EventSource(url);
  source.addEventListener("open", () => {
    lastSign = Date.now();
    stopPolling();
  });
  source.addEventListener("changed", () => {
    lastSign = Date.now();
    changed();
  });
  source.addEventListener("error", () => {
    startPolling();
    if (source.readyState === EventSource.CLOSED) setTimeout(() => listen(url), 30000);
  });
}

if (holder?.dataset.stream && "EventSource" in window) {
  listen(holder.dataset.stream);
  document.body.addEventListener("htmx:oobAfterSwap", () => light?.dataset.state && !timer && sayConnected());
  setInterval(() => Date.now() - lastSign > SILENT_MS && startPolling(), POLL_MS);
} else if (holder) {
  startPolling();
}
