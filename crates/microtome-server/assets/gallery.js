"use strict";

// The gallery page: the list of slides from /slides, filtered by name.

(() => {
  // Rows in the table at a time; the filter finds the others.
  const MAX_ROWS = 500;

  const filter = document.getElementById("filter");
  const summary = document.getElementById("summary");
  const table = document.querySelector("table");
  const rows = document.querySelector("tbody");
  let slides = [];

  function bytesText(bytes) {
    const units = ["bytes", "kB", "MB", "GB", "TB"];
    let unit = 0;
    while (bytes >= 1000 && unit < units.length - 1) {
      bytes /= 1000;
      unit += 1;
    }
    return `${bytes >= 100 || unit === 0 ? Math.round(bytes) : bytes.toFixed(1)} ${units[unit]}`;
  }

  function link(text, address) {
    const anchor = document.createElement("a");
    anchor.textContent = text;
    anchor.href = address;
    return anchor;
  }

  function row(slide) {
    const element = document.createElement("tr");
    element.insertCell().append(link(slide.id, slide.viewer));
    const size = element.insertCell();
    size.className = "number";
    size.textContent = bytesText(slide.bytes);
    element.insertCell().append(link(".dzi", slide.dzi));
    return element;
  }

  function show() {
    const wanted = filter.value.trim().toLowerCase();
    const found = slides.filter((slide) => slide.id.toLowerCase().includes(wanted));
    const shown = found.slice(0, MAX_ROWS);
    rows.replaceChildren(...shown.map(row));
    table.hidden = shown.length === 0;
    if (slides.length === 0) {
      summary.textContent = "There are no slides yet. A .mtm file put into the slides root appears here.";
    } else if (shown.length < found.length) {
      summary.textContent = `${shown.length} of ${found.length} slides. Filter by name to see others.`;
    } else {
      summary.textContent = `${found.length} ${found.length === 1 ? "slide" : "slides"}`;
    }
  }

  async function load() {
    try {
      const response = await fetch("/slides");
      if (!response.ok) {
        throw new Error(`the server answered ${response.status}`);
      }
      slides = (await response.json()).slides;
      show();
    } catch (error) {
      summary.setAttribute("role", "alert");
      summary.textContent = `The list of slides cannot be loaded: ${error.message}. Reload the page to try again.`;
    }
    document.body.dataset.ready = "true";
  }

  filter.addEventListener("input", show);
  load();
})();
