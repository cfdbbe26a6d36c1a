// The backtest page: equity against its benchmark, drawdown, exposure, and the weights of a portfolio.
import { colours, draw, drawFall, load, percent, points } from "./charts.js";

let holder = null;

async function show() {
  const data = await load(holder.dataset.url);
  const { currency, marks: shown } = holder.dataset;
  const at = (values) => points(data.t_ms ?? [], values ?? []);
  const marks = (side) => (data.marks ?? []).filter((m) => m.side === side).map((m) => ({ x: m.t_ms, y: m.equity, text: m.text }));
  draw(document.querySelector("#equity"), () => {
    const c = colours();
    return {
      series: [
        { label: `Agent (${currency})`, data: at(data.equity), colour: c.first },
        { label: holder.dataset.benchmark, data: at(data.benchmark), colour: c.second, dashed: true },
      ],
      marks: [{ label: `Bought${shown}`, data: marks("BUY"), colour: c.gain }, { label: `Sold${shown}`, data: marks("SELL"), colour: c.loss, down: true }],
      legend: true,
    };
  });
  drawFall(document.querySelector("#drawdown"), at(data.drawdown));
  const weights = document.querySelector("#weights");
  if (weights) {
    draw(weights, () => {
      const c = colours();
      const tones = [c.first, c.third, c.fourth, c.gain, c.loss, c.second];
      const series = Object.entries(data.weights ?? {}).map(([label, values], place) => ({
        label, data: at(values), colour: tones[place % tones.length], stepped: true,
      }));
      return { series, format: percent, legend: true, min: 0 };
    });
  }
  draw(document.querySelector("#exposure"), () => {
    const c = colours();
    return { series: [{ label: "Exposure", data: at(data.exposure), colour: c.fourth, fill: `${c.fourth}22`, toZero: true, stepped: true }], format: percent };
  });
}

// The result arrives by a swap when the page was open before the backtest was done.
function start() {
  const found = document.querySelector("#backtest-charts");
  if (!found || found === holder) return;
  holder = found;
  show().catch((error) => console.warn(error.message));
}

document.body.addEventListener("htmx:afterSwap", start);
start();
