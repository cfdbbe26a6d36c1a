// The training run page: one small chart per reported value, and what its checkpoints do and think.
import { cardFor } from "./cards.js";
import { colours, compact, draw, follow, percent, points } from "./charts.js";
import { stamp } from "./times.js";
import "./live.js";

const holder = document.querySelector("#curves");
const insight = document.querySelector("#insight");
const chooser = document.querySelector("#probe");
const TONES = ["first", "third", "fourth", "gain", "loss", "second"];
let seen = null;

follow(() => holder.dataset.url, (data) => {
  holder.querySelector(".empty")?.toggleAttribute("hidden", data.curves.length > 0);
  for (const curve of data.curves) {
    draw(cardFor(holder, curve.name, curve), () => ({
      series: [{ label: curve.label, data: points(curve.steps, curve.values), colour: colours().first }],
      x: "number", xLabel: "Step", legend: false,
    }));
  }
});

const lines = (table) => Object.entries(table ?? {}).map(([label, line], at) => ({
  label, data: points(line.at, line.values), colour: colours()[TONES[at % TONES.length]],
}));

function drawSteps(id, table, format) {
  draw(document.querySelector(id), () => ({ series: lines(table), x: "number", xLabel: "Step", legend: true, format }));
}

function drawUse(id, line, label, format) {
  draw(document.querySelector(id), () => ({
    series: line ? [{ label, data: points(line.at, line.values), colour: colours().first }] : [], min: 0, legend: false, format,
  }));
}

function drawValidations() {
  draw(document.querySelector("#validation-pnl"), () => {
    const c = colours();
    const last = seen.validations.length - 1;
    const agents = seen.validations.map((one, at) => ({
      label: `Step ${compact.format(one.step)}`, data: points(one.t_ms, one.equity),
      colour: at === last ? c.first : `${c.first}66`, width: at === last ? 2.2 : 1.1,
    }));
    const held = seen.validations[last];
    const hold = held ? [{ label: insight.dataset.benchmark, data: points(held.t_ms, held.benchmark), colour: c.second, dashed: true }] : [];
    return { series: [...agents.reverse(), ...hold], legend: true };
  });
}

function drawProbe() {
  const state = seen.probes[Number(chooser.value) || 0];
  drawSteps("#probe-shares", state?.probabilities, percent);
  drawSteps("#probe-outputs", state?.outputs);
}

function offerProbes() {
  if (chooser.options.length === seen.probes.length) return;
  const kept = chooser.value;
  chooser.replaceChildren(...seen.probes.map((state, at) => new Option(stamp(state.t_ms), String(at))));
  chooser.value = kept || "0";
}

follow(() => insight.dataset.url, (data) => {
  seen = data;
  offerProbes();
  drawValidations();
  drawSteps("#actions", data.actions, percent);
  drawProbe();
  drawUse("#use-cpu", data.resources.cpu, "Cores");
  drawUse("#use-memory", data.resources.rss_mb, "MiB");
  drawUse("#use-gpu", data.resources.gpu_mb, "MiB");
  drawUse("#use-gpu-share", data.resources.gpu, "At work", percent);
  drawUse("#use-fps", data.resources.fps, "Steps/s");
  drawUse("#use-queue", data.resources.queue, "Runs");
}, 5000);
chooser.addEventListener("change", () => seen && drawProbe());
