// The only module that knows Chart.js. Time axes are linear epoch milliseconds with our own tick text.
import { roundTicks, stamp, tick } from "./times.js";

const { Chart } = window;
const drawn = new Map(); // canvas -> redraw

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const digits = new Intl.NumberFormat("en-GB", { maximumSignificantDigits: 7 });
export const compact = new Intl.NumberFormat("en-GB", { notation: "compact", maximumSignificantDigits: 3 });
const short = { format: (value) => digits.format(Math.abs(value) < 1e-12 ? 0 : value) }; // never "-0"
const TICK_ROOM_PX = 84;
const VALUE_ROOM_PX = 62; // charts below each other share their time axis when their value axes are equally wide
const LEAST_FALL = -0.01;

export const colours = () => ({
  first: css("--series-1"), second: css("--series-2"), third: css("--series-3"), fourth: css("--series-4"),
  gain: css("--gain"), loss: css("--loss"), text: css("--muted"), grid: css("--grid"), surface: css("--surface"),
});

export const points = (times, values) => times.map((x, index) => ({ x, y: values[index] }));

// Break the line where bars are missing: what is not known is not drawn.
export function withGaps(rows, stepMs) {
  return rows.flatMap((row, index) => {
    const next = rows[index + 1];
    return next && next.x - row.x > stepMs ? [row, { x: row.x + stepMs, y: row.y }, { x: row.x + stepMs, y: NaN }] : [row];
  });
}

// Ticks at round times: full minutes, hours and days, as many as there is room for.
function roundTimes(axis) {
  if (!(axis.max > axis.min)) return;
  const ticks = roundTicks(axis.min, axis.max, Math.max(2, Math.floor(axis.chart.width / TICK_ROOM_PX)));
  axis.ticks = ticks.map((value) => ({ value }));
}

function timeAxis(colour) {
  return {
    type: "linear",
    bounds: "data",
    grid: { display: false },
    border: { color: colour.grid },
    afterBuildTicks: roundTimes,
    ticks: {
      color: colour.text, maxRotation: 0, autoSkip: false,
      callback(value) { return tick(value, this.max - this.min); },
    },
  };
}

function stepAxis(colour) {
  return {
    type: "linear", min: 0, grid: { display: false }, border: { color: colour.grid },
    ticks: { color: colour.text, maxRotation: 0, maxTicksLimit: 6, includeBounds: false, callback: (v) => compact.format(v) },
  };
}

function valueAxis(colour, format, position = "right") {
  return {
    position, grid: { color: colour.grid }, border: { display: false },
    afterFit(axis) { axis.width = Math.max(axis.width, VALUE_ROOM_PX); },
    ticks: { color: colour.text, maxTicksLimit: 6, callback: (value) => format(value) },
  };
}

const line = (set) => ({
  borderWidth: 1.6, pointRadius: 0, pointStyle: "line", pointHitRadius: 6, tension: 0, spanGaps: true, ...set,
});

// spec: {series: [{label, data, colour, fill, stepped, dashed}], marks: [...], x: "time"|"number", format, legend}
function config(spec) {
  const colour = colours();
  const format = spec.format ?? ((value) => short.format(value));
  const isTime = spec.x !== "number";
  const sets = spec.series.map((one) => line({
    label: one.label, data: one.data, borderColor: one.colour, backgroundColor: one.fill ?? one.colour,
    fill: one.fill ? (one.toPrevious ? "-1" : one.toZero ? "origin" : "start") : false, stepped: one.stepped ?? false,
    borderDash: one.dashed ? [4, 4] : [], borderWidth: one.width ?? 1.6, spanGaps: !one.gaps,
  }));
  for (const mark of spec.marks ?? []) {
    sets.unshift({
      label: mark.label, data: mark.data, type: "scatter", backgroundColor: mark.colour, borderColor: colour.surface,
      borderWidth: 1, pointStyle: "triangle", rotation: mark.down ? 180 : 0, pointRadius: 6, pointHoverRadius: 8,
    });
  }
  const x = isTime ? timeAxis(colour) : stepAxis(colour);
  return {
    type: "line",
    data: { datasets: sets },
    options: {
      responsive: true, maintainAspectRatio: false, animation: false, normalized: true, parsing: false,
      interaction: { mode: "nearest", axis: "x", intersect: false },
      layout: { padding: { top: 4 } },
      plugins: {
        legend: {
          display: spec.legend ?? sets.length > 1, align: "start",
          labels: { color: colour.text, boxWidth: 18, boxHeight: 7, usePointStyle: true, sort: (a, b) => b.datasetIndex - a.datasetIndex },
        },
        tooltip: {
          callbacks: {
            title: (items) => (isTime ? stamp(items[0].parsed.x) : `${spec.xLabel ?? ""} ${short.format(items[0].parsed.x)}`),
            label: (item) => (item.raw.text ? item.raw.text : `${item.dataset.label}: ${format(item.parsed.y)}`),
          },
        },
      },
      scales: { x, y: { ...valueAxis(colour, format), suggestedMax: spec.max, suggestedMin: spec.min } },
    },
  };
}

function showNone(canvas, text) {
  let none = canvas.parentElement.querySelector(".none");
  if (!text) return none?.remove();
  if (!none) {
    none = document.createElement("div");
    none.className = "none";
    canvas.parentElement.append(none);
  }
  none.textContent = text;
}

// Draw, or redraw with new data. `build` is called again when theme or time zone change.
export function draw(canvas, build) {
  if (!canvas) return;
  const spec = build();
  const longest = Math.max(0, ...spec.series.map((one) => one.data.length));
  const none = canvas.dataset.none ?? "Nothing to show yet.";
  const hint = longest === 1 ? "Drawn from the second value on." : "";
  showNone(canvas, longest ? hint : none);
  const chart = Chart.getChart(canvas);
  const next = config(longest > 1 ? spec : { ...spec, series: [], marks: [] });
  for (const axis of Object.values(next.options.scales)) axis.display = longest > 1; // one value has no range
  if (chart) {
    chart.data = next.data;
    chart.options = next.options;
    chart.update("none");
  } else {
    new Chart(canvas, next);
  }
  drawn.set(canvas, build);
}

// How far equity is below its peak, drawn downwards. Without a fall the axis would end at 100 % on either side.
export function drawFall(canvas, rows) {
  draw(canvas, () => {
    const c = colours();
    const data = rows.map(({ x, y }) => ({ x, y: -Math.abs(y) }));
    return {
      series: [{ label: "Drawdown", data, colour: c.loss, fill: `${c.loss}22`, toZero: true }],
      format: percent, max: 0, min: data.some(({ y }) => y < 0) ? undefined : LEAST_FALL,
    };
  });
}

export async function load(url) {
  const answer = await fetch(url, { headers: { Accept: "application/json" } });
  if (!answer.ok) throw new Error(`${url} answered ${answer.status}`);
  return answer.json();
}

// Load now and after every "changed" event, at most every `everyMs`.
export function follow(url, show, everyMs = 3000) {
  let last = 0;
  let waiting = 0;
  const refresh = async () => {
    waiting = 0;
    last = Date.now();
    try { show(await load(url())); } catch (error) { console.warn(error.message); }
  };
  document.body.addEventListener("changed", () => {
    if (!waiting) waiting = setTimeout(refresh, Math.max(0, last + everyMs - Date.now()));
  });
  refresh();
  return refresh;
}

// One candle per row: a thin bar from low to high and a thick one from open to close.
export function drawCandles(canvas, rows) {
  if (!canvas) return;
  showNone(canvas, rows.length ? "" : canvas.dataset.none);
  const build = () => {
    const c = colours();
    const tone = (item) => (item.raw && item.raw.o > item.raw.c ? c.loss : c.gain);
    const bars = (thickness, range) => ({
      data: rows.map((row) => ({ x: row.t, y: range(row), ...row })), backgroundColor: tone, grouped: false,
      barThickness: thickness, minBarLength: 1, borderSkipped: false,
    });
    const space = Math.max(1, (canvas.parentElement.clientWidth - 90) / Math.max(1, rows.length));
    return {
      type: "bar",
      data: { datasets: [bars(1, (r) => [r.l, r.h]), bars(Math.max(1, Math.min(12, space * 0.65)), (r) => [r.o, r.c])] },
      options: {
        responsive: true, maintainAspectRatio: false, animation: false,
        interaction: { mode: "nearest", axis: "x", intersect: false },
        plugins: {
          legend: { display: false },
          tooltip: {
            filter: (item) => item.datasetIndex === 0,
            callbacks: {
              title: (items) => stamp(items[0].raw.t),
              label: ({ raw }) => ["Open", "High", "Low", "Close"].map((name) => `${name} ${short.format(raw[name[0].toLowerCase()])}`),
            },
          },
        },
        scales: { x: { ...timeAxis(c), offset: false }, y: { ...valueAxis(c, (v) => short.format(v)), beginAtZero: false } },
      },
    };
  };
  Chart.getChart(canvas)?.destroy();
  new Chart(canvas, build());
  drawn.set(canvas, null);
  custom.set(canvas, () => drawCandles(canvas, rows));
}

const custom = new Map();
const redraw = () => {
  for (const [canvas, build] of drawn) build ? draw(canvas, build) : custom.get(canvas)();
};
document.addEventListener("theme-changed", redraw);
document.addEventListener("zone-changed", redraw);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
export const percent = (value) => `${(value * 100).toFixed(Math.abs(value) < 0.1 ? 2 : 1)} %`;
