// Sets the theme before anything is drawn: the reader's choice, else what the system prefers.
"use strict";
(() => {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const chosen = () => {
    try {
      return localStorage.getItem("auditvault-theme");
    } catch {
      return null;
    }
  };
  const apply = () => {
    const theme = chosen() ?? (dark.matches ? "dark" : "light");
    document.documentElement.setAttribute("data-bs-theme", theme);
    return theme;
  };
  apply();
  dark.addEventListener("change", apply);
  window.auditvaultTheme = {
    toggle() {
      const next = document.documentElement.getAttribute("data-bs-theme") === "dark" ? "light" : "dark";
      try {
        localStorage.setItem("auditvault-theme", next);
      } catch {
        document.documentElement.setAttribute("data-bs-theme", next);
        return;
      }
      apply();
    },
  };
})();
