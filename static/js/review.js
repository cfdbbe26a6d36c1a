// The page of a council's review: equity with and without each member, disagreement over time.
import { colours, draw, load, points } from "./charts.js";

let holder = null;

async function show() {
  const data = await load(holder.dataset.url);
  const names = Object.keys(data.without ?? {});
  draw(document.querySelector("#equity"), () => {
    const c = colours();
    const tones = [c.second, c.third, c.fourth, c.gain, c.loss];
    return {
      series: [
        { label: "Whole council", data: points(data.t_ms ?? [], data.whole ?? []), colour: c.first, width: 2.4 },
        ...names.map((name, at) => ({
          label: `Without ${name}`, data: points(data.t_ms, data.without[name]), colour: tones[at % tones.length], dashed: true,
        })),
      ],
      legend: true,
    };
  });
  draw(document.querySelector("#entropy"), () => {
    const c = colours();
    const line = points(data.entropy_t_ms ?? [], data.entropy ?? []);
    return { series: [{ label: "Vote entropy (bits)", data: line, colour: c.third, fill: `${c.third}22`, toZero: true }], min: 0 };
  });
}

// The result arrives by a swap when the page was open before the review was done.
function start() {
  const found = document.querySelector("#review-charts");
  if (!found || found === holder) return;
  holder = found;
  show().catch((error) => console.warn(error.message));
}

document.body.addEventListener("htmx:afterSwap", start);
start();
