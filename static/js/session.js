// The session page: price with fills, equity, drawdown.
import { colours, draw, drawFall, follow, points } from "./charts.js";
import "./live.js";

const holder = document.querySelector("#session-charts");
let hours = holder.dataset.hours;

function show(data) {
  const at = (values) => points(data.t, values);
  const flat = (value) => (value && data.t.length ? [{ x: data.t[0], y: value }, { x: data.t.at(-1), y: value }] : []);
  const marks = (side) => data.marks.filter((m) => m.side === side).map((m) => ({ x: m.t, y: m.price, text: m.text }));
  draw(document.querySelector("#price"), () => {
    const c = colours();
    return {
      series: [
        { label: `Price (${data.currency})`, data: at(data.price), colour: c.second },
        ...(data.stop ? [{ label: "Stop-loss", data: flat(data.stop), colour: c.loss, dashed: true }] : []),
        ...(data.take ? [{ label: "Take-profit", data: flat(data.take), colour: c.gain, dashed: true }] : []),
      ],
      marks: [
        { label: "Bought", data: marks("BUY"), colour: c.gain },
        { label: "Sold", data: marks("SELL"), colour: c.loss, down: true },
      ],
      legend: true,
    };
  });
  draw(document.querySelector("#equity"), () => {
    const c = colours();
    return {
      series: [
        { label: `Equity (${data.currency})`, data: at(data.equity), colour: c.first },
        { label: "Capital", data: flat(data.capital), colour: c.second, dashed: true, width: 1 },
      ],
    };
  });
  drawFall(document.querySelector("#drawdown"), at(data.drawdown));
}

const refresh = follow(() => `${holder.dataset.url}?hours=${hours}`, show);
for (const button of document.querySelectorAll("[data-hours]")) {
  button.addEventListener("click", () => {
    hours = button.dataset.hours;
    for (const other of document.querySelectorAll("button[data-hours]")) other.setAttribute("aria-pressed", String(other === button));
    refresh();
  });
}
