// What every page needs: menu, theme, time zone, ages that keep counting, closing confirmations.
import { isLocal, toggleZone, writeTimes } from "./times.js";

const root = document.documentElement;

function toggleTheme() {
  const systemDark = matchMedia("(prefers-color-scheme: dark)").matches;
  const isDark = root.dataset.theme ? root.dataset.theme === "dark" : systemDark;
  root.dataset.theme = isDark ? "light" : "dark";
  localStorage.setItem("theme", root.dataset.theme);
  document.dispatchEvent(new Event("theme-changed"));
}

function toggleMenu(button) {
  const nav = document.getElementById("nav");
  const open = nav.classList.toggle("open");
  button.setAttribute("aria-expanded", String(open));
  if (open) nav.querySelector("a").focus();
}

function closeMenu() {
  document.getElementById("nav")?.classList.remove("open");
  document.querySelector("[data-menu]")?.setAttribute("aria-expanded", "false");
}

function showZone() {
  const name = document.querySelector("[data-zone-name]");
  if (name) name.textContent = isLocal() ? "Local" : "UTC";
  writeTimes(document);
}

document.querySelector("[data-theme-toggle]")?.addEventListener("click", toggleTheme);
document.querySelector("[data-menu]")?.addEventListener("click", (event) => toggleMenu(event.currentTarget));
document.querySelector("[data-zone]")?.addEventListener("click", () => {
  toggleZone();
  showZone();
  document.dispatchEvent(new Event("zone-changed"));
});
document.addEventListener("click", (event) => {
  for (const open of document.querySelectorAll("details.confirm[open]")) {
    if (!open.contains(event.target)) open.removeAttribute("open");
  }
  if (!event.target.closest("#nav, [data-menu]")) closeMenu();
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const open of document.querySelectorAll("details.confirm[open]")) {
    open.removeAttribute("open");
    open.querySelector("summary").focus();
  }
  closeMenu();
});
// A refresh never closes a question that a person is about to answer.
document.addEventListener("htmx:oobBeforeSwap", (event) => {
  if (event.detail.target.querySelector("details.confirm[open]")) event.detail.shouldSwap = false;
});
document.addEventListener("htmx:oobAfterSwap", (event) => writeTimes(event.target));
document.addEventListener("htmx:afterSwap", (event) => writeTimes(event.target));
setInterval(() => writeTimes(document, true), 1000);
showZone();
