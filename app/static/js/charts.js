// Draws each chart of the table beside it, so that both say the same: columns with data-colour are its series, cells with
// data-value its numbers, and what is read in a cell is what a pointer is told. Colours are those of the page.
"use strict";

{
  const MOST = 15; // bars of a chart that lies across; the table has them all
  const RTL = document.documentElement.dir === "rtl";
  const LANGUAGE = document.documentElement.lang;
  const whole = new Intl.NumberFormat(LANGUAGE, { maximumFractionDigits: 0, useGrouping: false });
  // Where the names of a week's days have no room side by side, their letters stand for them.
  const NARROW = 340;
  const LETTERS = new Map(Array.from({ length: 7 }, (_, day) => {
    const named = (weekday) => new Intl.DateTimeFormat(LANGUAGE, { weekday, timeZone: "UTC" }).format(Date.UTC(2024, 0, 1 + day));
    return [named("long"), named("narrow")];
  }));
  const charts = new Map(); // canvas -> Chart

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

  // Seconds as a clock writes them, in whole minutes.
  function clock(seconds) {
    const minutes = Math.round(seconds / 60);
    const two = (number) => whole.format(number).padStart(2, whole.format(0));
    return `${two(Math.floor(minutes / 60))}:${two(minutes % 60)}`;
  }

  function read(canvas) {
    const table = document.getElementById(canvas.dataset.table);
    const heads = [...table.tHead.rows[0].cells];
    const rows = [...table.tBodies[0].rows].slice(0, canvas.dataset.chart === "across" ? MOST : undefined);
    return {
      labels: rows.map((row) => row.cells[0].dataset.short ?? row.cells[0].textContent.trim()),
      series: heads.flatMap((head, column) => head.dataset.colour ? [{
        label: head.textContent.trim(),
        colour: head.dataset.colour,
        values: rows.map((row) => row.cells[column].dataset.value === undefined ? null : Number(row.cells[column].dataset.value)),
        said: rows.map((row) => row.cells[column].textContent.trim()),
      }] : []),
    };
  }

  function dataset(series, kind, few) {
    const painted = colour(series.colour);
    const own = { label: series.label, data: series.values, said: series.said, backgroundColor: painted };
    if (kind === "line") return { ...own, borderColor: painted, borderWidth: 2, pointRadius: few ? 3 : 1.5, spanGaps: false, tension: 0 };
    return { ...own, maxBarThickness: 36 };
  }

  // From the longest, a round number of minutes or hours between two lines.
  function timeStep(longest) {
    for (const step of [60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800]) if (longest / step <= 6) return step;
    return 86400;
  }

  function options(canvas, { labels, series }) {
    const kind = canvas.dataset.chart, across = kind === "across", stacked = across || kind === "stacked";
    const time = canvas.dataset.unit === "time";
    const line = colour("line"), soft = colour("soft"), font = { family: "Vazirmatn", size: 12 };
    const longest = Math.max(60, ...series.flatMap((one) => one.values));
    const amounts = {
      stacked,
      beginAtZero: true,
      grid: { color: line },
      border: { display: false },
      ticks: { color: soft, font, precision: 0, maxTicksLimit: across ? 6 : 7, callback: (value) => (time ? clock(value) : whole.format(value)), ...(time ? { stepSize: timeStep(longest) } : {}) },
    };
    const names = {
      stacked,
      grid: { display: false },
      border: { color: line },
      ticks: { color: soft, font, autoSkip: !across && labels.length > 7, maxRotation: 0, autoSkipPadding: 14, callback: (index) => shortened(labels[index], across, canvas.clientWidth < NARROW) },
    };
    const x = across ? amounts : names, y = across ? names : amounts;
    return {
      animation: false,
      responsive: true,
      maintainAspectRatio: false,
      indexAxis: across ? "y" : "x",
      interaction: { mode: "index", intersect: false, axis: across ? "y" : "x" },
      scales: { x: { ...x, reverse: RTL }, y: { ...y, position: RTL ? "right" : "left" } },
      plugins: {
        legend: { display: series.length > 1, position: "bottom", rtl: RTL, textDirection: RTL ? "rtl" : "ltr", labels: { color: colour("ink"), font, boxWidth: 12, boxHeight: 12 } },
        tooltip: {
          rtl: RTL,
          textDirection: RTL ? "rtl" : "ltr",
          titleFont: { ...font, weight: "bold" },
          bodyFont: font,
          backgroundColor: colour("ink"),
          titleColor: colour("surface"),
          bodyColor: colour("surface"),
          callbacks: { label: (item) => `${item.dataset.label}: ${item.dataset.said[item.dataIndex]}` },
        },
      },
    };
  }

  function shortened(label, across, narrow) {
    if (narrow && LETTERS.has(label)) return LETTERS.get(label);
    const most = across ? 18 : 12;
    return label.length > most ? `${label.slice(0, most - 1)}…` : label;
  }

  function draw(canvas) {
    charts.get(canvas)?.destroy();
    const kind = canvas.dataset.chart;
    const found = read(canvas);
    if (kind === "across") canvas.parentElement.style.height = `${Math.max(140, 70 + 30 * found.labels.length)}px`;
    const datasets = found.series.map((series) => dataset(series, kind, found.labels.length <= 31));
    const chart = new Chart(canvas, { type: kind === "line" ? "line" : "bar", data: { labels: found.labels, datasets }, options: options(canvas, found) });
    charts.set(canvas, chart);
    canvas.dataset.drawn = String(found.labels.length);
  }

  function drawAll() {
    for (const canvas of document.querySelectorAll("canvas[data-table]")) draw(canvas);
  }

  // Other colours when the device turns dark, and our letters as soon as they are there.
  new MutationObserver(drawAll).observe(document.documentElement, { attributeFilter: ["data-bs-theme"] });
  document.fonts.load("12px Vazirmatn").then(drawAll, drawAll);
}
