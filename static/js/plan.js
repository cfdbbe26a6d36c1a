// The page of a plan: weights that its model wanted, equity, drawdown.
import { colours, draw, drawFall, follow, percent, points } from "./charts.js";

const holder = document.querySelector("#plan-charts");

function show(data) {
  const at = (values) => points(data.t, values);
  draw(document.querySelector("#weights"), () => {
    const c = colours();
    const tones = [c.first, c.third, c.fourth, c.gain, c.loss, c.second];
    const series = Object.entries(data.weights).map(([label, values], place) => ({
      label, data: points(data.decided, values), colour: tones[place % tones.length], stepped: true,
    }));
    return { series, format: percent, legend: true, min: 0 };
  });
  draw(document.querySelector("#equity"), () => {
    const c = colours();
    const ends = data.t.length ? [{ x: data.t[0], y: data.capital }, { x: data.t.at(-1), y: data.capital }] : [];
    return {
      series: [
        { label: `Equity (${data.currency})`, data: at(data.equity), colour: c.first },
        { label: "Capital", data: ends, colour: c.second, dashed: true, width: 1 },
      ],
    };
  });
  drawFall(document.querySelector("#drawdown"), at(data.drawdown));
}

if (holder) {
  follow(() => holder.dataset.url, show);
  document.body.addEventListener("htmx:afterSwap", () => document.body.dispatchEvent(new Event("changed")));
}
