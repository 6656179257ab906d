// What the pages do beyond links and forms: the theme switch, local time on hover, menus that close, and saying aloud
// what a part that was replaced now holds. Every page works without it.
"use strict";
(() => {
  const local = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "long" });

  function showLocalTimes(root) {
    for (const time of root.querySelectorAll("time[datetime]")) {
      time.title = `${local.format(new Date(time.dateTime))} (your time)`;
    }
  }

  function announce() {
    const said = document.querySelector("#page [data-announce]");
    document.getElementById("announce").textContent = said ? said.dataset.announce : "";
  }

  function nameTheme(button) {
    const dark = document.documentElement.getAttribute("data-bs-theme") === "dark";
    button.textContent = dark ? "Light" : "Dark";
    button.setAttribute("aria-label", dark ? "Use the light theme" : "Use the dark theme");
  }

  const theme = document.getElementById("theme");
  theme.hidden = false;
  nameTheme(theme);
  theme.addEventListener("click", () => {
    window.auditvaultTheme.toggle();
    nameTheme(theme);
  });
  new MutationObserver(() => nameTheme(theme)).observe(document.documentElement, {
    attributes: true,
    attributeFilter: ["data-bs-theme"],
  });

  document.addEventListener("click", (event) => {
    for (const menu of document.querySelectorAll("details.av-menu[open]")) {
      if (!menu.contains(event.target)) menu.open = false;
    }
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    for (const menu of document.querySelectorAll("details.av-menu[open]")) {
      menu.open = false;
      menu.querySelector("summary").focus();
    }
  });

  document.addEventListener("htmx:afterSettle", (event) => {
    showLocalTimes(document);
    announce();
    // On a narrow screen the details stand below the spans: bring them into view after a span was chosen.
    const from = event.detail.requestConfig && event.detail.requestConfig.elt;
    const heading = document.getElementById("detail-heading");
    if (from && from.classList.contains("av-row") && heading && matchMedia("(max-width: 991px)").matches) {
      heading.scrollIntoView({ block: "start" });
      heading.focus({ preventScroll: true });
    }
  });
  showLocalTimes(document);
})();
