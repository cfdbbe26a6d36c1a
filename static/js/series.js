// A candle series: closes with the range of each stretch, and volume.
import { colours, draw, load, points } from "./charts.js";

const holder = document.querySelector("#candles");

async function show(query) {
  const data = await load(`${holder.dataset.url}${query}`);
  const at = (values) => points(data.t_ms, values);
  draw(document.querySelector("#price"), () => {
    const c = colours();
    return {
      series: [
        { label: "Close", data: at(data.close), colour: c.first },
        { label: "High of stretch", data: at(data.high), colour: c.second, width: 0.7 },
        { label: "Low of stretch", data: at(data.low), colour: c.second, width: 0.7 },
      ],
      legend: true,
    };
  });
  draw(document.querySelector("#volume"), () => ({
    series: [{ label: "Volume", data: at(data.volume), colour: colours().third, fill: `${colours().third}22`, toZero: true, stepped: true }],
    legend: false,
  }));
}

const form = document.querySelector("#range");
form?.addEventListener("submit", (event) => {
  event.preventDefault();
  show(`?${new URLSearchParams(new FormData(form))}`).catch((error) => console.warn(error.message));
});
if (holder) show("").catch((error) => console.warn(error.message));
