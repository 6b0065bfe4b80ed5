// Runs in <head> before the first paint: the remembered theme, and the mark that scripts are on.
(() => {
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const remembered = () => {
    try {
      return localStorage.getItem("theme"); // null: as the system
    } catch {
      return null; // storage is closed in some private windows
    }
  };

  const show = () => {
    const chosen = remembered();
    if (chosen === "light" || chosen === "dark") root.dataset.theme = chosen;
    root.dataset.themeShown = root.dataset.theme ?? (system.matches ? "dark" : "light");
  };

  const toggle = () => {
    const next = root.dataset.themeShown === "dark" ? "light" : "dark";
    root.dataset.theme = next;
    root.dataset.themeShown = next;
    try {
      localStorage.setItem("theme", next);
    } catch {
      // it then lasts for this page only
    }
  };

  root.classList.add("js");
  show();
  system.addEventListener("change", show);
  addEventListener("storage", (event) => event.key === "theme" && show());
  addEventListener("click", (event) => event.target.closest?.("[data-theme-toggle]") && toggle());
})();
