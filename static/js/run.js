// The training run page: one small chart per reported value, redrawn while the run works.
import { colours, draw, follow, points } from "./charts.js";
import "./live.js";

const holder = document.querySelector("#curves");

function canvasFor(name, title) {
  const id = `curve-${name.replace(/[^a-z0-9]+/gi, "-")}`;
  let canvas = document.getElementById(id);
  if (!canvas) {
    const card = document.createElement("section");
    card.className = "card";
    const heading = document.createElement("h2");
    heading.textContent = title.label;
    heading.title = title.definition;
    const frame = document.createElement("div");
    frame.className = "chart low";
    canvas = document.createElement("canvas");
    canvas.id = id;
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", title.label);
    frame.append(canvas);
    card.append(heading, frame);
    holder.append(card);
  }
  return canvas;
}

follow(() => holder.dataset.url, (data) => {
  holder.querySelector(".empty")?.toggleAttribute("hidden", data.curves.length > 0);
  for (const curve of data.curves) {
    draw(canvasFor(curve.name, curve), () => ({
      series: [{ label: curve.label, data: points(curve.steps, curve.values), colour: colours().first }],
      x: "number", xLabel: "Step", legend: false,
    }));
  }
});
