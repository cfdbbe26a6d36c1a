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

// Without the year where it is this one, and without the zone.
export function shortStamp(ms) {
  const { date, day, time, seconds } = parts(ms);
  const year = parts(Date.now()).date.slice(0, 5);
  return `${date.startsWith(year) ? day : date} ${time}:${seconds}`;
}

export function stamp(ms) {
  const { date, time, seconds } = parts(ms);
  return `${date} ${time}:${seconds} ${isLocal() ? "local" : "UTC"}`;
}

const SECOND = 1000, MINUTE = 60 * SECOND, HOUR = 60 * MINUTE, DAY = 24 * HOUR;
const STEPS = [
  SECOND, 5 * SECOND, 15 * SECOND, 30 * SECOND, MINUTE, 2 * MINUTE, 5 * MINUTE, 10 * MINUTE, 15 * MINUTE, 30 * MINUTE,
  HOUR, 2 * HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR, DAY, 2 * DAY, 4 * DAY, 7 * DAY, 14 * DAY,
];
const MONTHS = [1, 2, 3, 6, 12, 24, 60, 120];

// Round times within [from, to], at most `most` of them, round in the shown zone.
export function roundTicks(from, to, most) {
  const shift = isLocal() ? new Date(from).getTimezoneOffset() * MINUTE : 0;
  const step = STEPS.find((size) => (to - from) / size <= most);
  if (!step) return monthTicks(from, to, most);
  const ticks = [];
  for (let at = Math.ceil((from - shift) / step) * step + shift; at <= to; at += step) ticks.push(at);
  return ticks;
}

function monthTicks(from, to, most) {
  const step = MONTHS.find((months) => (to - from) / (months * 30 * DAY) <= most) ?? MONTHS.at(-1);
  const start = new Date(from);
  const ticks = [];
  for (let month = Math.ceil((start.getUTCFullYear() * 12 + start.getUTCMonth()) / step) * step; ; month += step) {
    const at = Date.UTC(Math.floor(month / 12), month % 12);
    if (at > to) return ticks;
    if (at >= from) ticks.push(at);
  }
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
