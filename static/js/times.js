// Times in UTC or in the reader's zone; ages that keep counting.
const pad = (value, size = 2) => String(value).padStart(size, "0");

export const isLocal = () => localStorage.getItem("zone") === "local";
export const toggleZone = () => localStorage.setItem("zone", isLocal() ? "utc" : "local");

function parts(ms) {
  const at = new Date(ms);
  const get = (name) => (isLocal() ? at[`get${name}`]() : at[`getUTC${name}`]());
  return {
    date: `${get("FullYear")}-${pad(get("Month") + 1)}-${pad(get("Date"))}`,
    day: `${pad(get("Month") + 1)}-${pad(get("Date"))}`,
    time: `${pad(get("Hours"))}:${pad(get("Minutes"))}`,
    seconds: pad(get("Seconds")),
  };
}

export function shortStamp(ms) {
  const { day, time, seconds } = parts(ms);
  return `${day} ${time}:${seconds}`;
}

export function stamp(ms) {
  const { date, time, seconds } = parts(ms);
  return `${date} ${time}:${seconds} ${isLocal() ? "local" : "UTC"}`;
}

// A tick's text: as fine as the span of the axis needs.
export function tick(ms, spanMs) {
  const { date, day, time, seconds } = parts(ms);
  if (spanMs < 600_000) return `${time}:${seconds}`;
  if (spanMs < 86_400_000 * 1.5) return time;
  return spanMs < 86_400_000 * 20 ? `${day} ${time}` : date;
}

export function span(totalSeconds) {
  const total = Math.max(0, Math.round(totalSeconds));
  const sizes = [[86400, "d", 3600, "h"], [3600, "h", 60, "min"], [60, "min", 1, "s"]];
  for (const [size, name, small, smallName] of sizes) {
    if (total < size) continue;
    const rest = Math.floor((total % size) / small);
    return rest ? `${Math.floor(total / size)} ${name} ${rest} ${smallName}` : `${Math.floor(total / size)} ${name}`;
  }
  return `${total} s`;
}

export function writeTimes(within, onlyAges = false) {
  for (const node of within.querySelectorAll("time[data-ago]")) {
    node.textContent = `${span((Date.now() - Number(node.dataset.ago)) / 1000)} ago`;
  }
  if (onlyAges) return;
  for (const node of within.querySelectorAll("time[data-ms]")) {
    const ms = Number(node.dataset.ms);
    node.textContent = "short" in node.dataset ? shortStamp(ms) : stamp(ms);
    if ("short" in node.dataset) node.title = stamp(ms);
  }
}
