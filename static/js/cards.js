// One card with a small chart per figure, made when it is first needed.
export function cardFor(holder, name, title) {
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
