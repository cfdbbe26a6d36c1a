// Several runs on the same axes: one line per group of settings, a band over its seeds.
import { colours, draw, load, points } from "./charts.js";
import { cardFor } from "./cards.js";

const holder = document.querySelector("#figures");
const TONES = ["first", "third", "fourth", "gain", "loss", "second"];

function linesOf(figure) {
  const palette = colours();
  return figure.lines.filter((one) => one.steps.length).flatMap((one, at) => {
    const colour = palette[TONES[at % TONES.length]];
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
  for (const figure of data.figures) {
    draw(cardFor(holder, figure.name, figure), () => ({ series: linesOf(figure), x: "number", xLabel: "Step", legend: false }));
  }
}

if (holder) show().catch((error) => console.warn(error.message));
