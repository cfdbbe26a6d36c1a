// Several runs on the same axes: one line per group of settings, a band over its seeds.
import { colours, draw, load, points } from "./charts.js";
import { cardFor } from "./cards.js";

const holder = document.querySelector("#figures");
const TONES = ["first", "third", "fourth", "gain", "loss", "second"];

const legend = document.querySelector("#legend");
const toneOf = (at) => colours()[TONES[at % TONES.length]];

function explain(figures) {
  const longest = figures.reduce((most, one) => (one.lines.length > most.length ? one.lines : most), []);
  legend.hidden = longest.length === 0;
  legend.replaceChildren(...longest.map((one, at) => {
    const row = document.createElement("li");
    row.textContent = one.label;
    row.style.color = toneOf(at);
    return row;
  }));
}

function linesOf(figure) {
  return figure.lines.flatMap((one, at) => {
    const colour = toneOf(at);
    const line = { label: one.label, data: points(one.steps, one.mid), colour };
    if (one.seeds < 2) return [line];
    const edge = { colour: `${colour}55`, width: 1 };
    return [
      line,
      { label: `${one.label}: highest`, data: points(one.steps, one.high), ...edge },
      { label: `${one.label}: lowest`, data: points(one.steps, one.low), ...edge, fill: `${colour}22`, toPrevious: true },
    ];
  });
}

async function show() {
  const data = await load(holder.dataset.url);
  holder.querySelector(".empty")?.toggleAttribute("hidden", data.figures.length > 0);
  explain(data.figures);
  for (const figure of data.figures) {
    draw(cardFor(holder, figure.name, figure), () => ({ series: linesOf(figure), x: "number", xLabel: "Step", legend: false }));
  }
}

document.addEventListener("theme-changed", () => {
  for (const [at, row] of [...(legend?.children ?? [])].entries()) row.style.color = toneOf(at);
});
if (holder) show().catch((error) => console.warn(error.message));
