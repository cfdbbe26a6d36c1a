// The settings of a training run come anew when a choice asks for others: what is open stays open.
let open = null;

document.addEventListener("htmx:beforeSwap", (event) => {
  const groups = event.detail.target.querySelectorAll("details.settings");
  open = new Map([...groups].map((group) => [group.querySelector("h2").textContent, group.open]));
});
document.addEventListener("htmx:afterSwap", () => {
  for (const group of document.querySelectorAll("details.settings")) {
    const was = open?.get(group.querySelector("h2").textContent);
    if (was !== undefined && !group.querySelector(".wrong")) group.open = was;
  }
  const told = document.querySelector("#settings-form .field.wrong, #preview");
  told?.scrollIntoView({ block: "center" });
});
