// A candle series: candles of equal stretches of time, and volume.
import { colours, compact, draw, drawCandles, load, points, withGaps } from "./charts.js";

const holder = document.querySelector("#candles");

async function show(query) {
  const data = await load(`${holder.dataset.url}${query}`);
  const rows = data.t_ms.map((t, i) => ({ t, o: data.open[i], h: data.high[i], l: data.low[i], c: data.close[i] }));
  drawCandles(document.querySelector("#price"), rows);
  draw(document.querySelector("#volume"), () => ({
    series: [{ label: `Volume (${holder.dataset.coin})`, data: withGaps(points(data.t_ms, data.volume), data.interval_ms), gaps: true, colour: colours().third, fill: `${colours().third}22`, toZero: true, stepped: true }],
    legend: true, format: (value) => compact.format(value),
  }));
}

const form = document.querySelector("#range");
form?.addEventListener("submit", (event) => {
  event.preventDefault();
  show(`?${new URLSearchParams(new FormData(form))}`).catch((error) => console.warn(error.message));
});
if (holder) show("").catch((error) => console.warn(error.message));
