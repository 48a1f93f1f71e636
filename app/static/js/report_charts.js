// Draw a chart from the table beside it, so both always show the same. Columns with data-colour are the series, cells
// with data-value their numbers, and the text of a cell is shown in the tooltip. The colours are those of the page.

import { LANGUAGE, localDigits } from "./digits.js";

const MAX_BARS = 15; // of a chart with horizontal bars; the table shows the rest
const IS_RTL = document.documentElement.dir === "rtl";
const DIRECTION = { rtl: IS_RTL, textDirection: IS_RTL ? "rtl" : "ltr" };
const FONT = { family: "Vazirmatn", size: 12 };
const NARROW = 340; // pixels; below this the days of a week are shown by one letter
const WEEKDAY_LETTERS = new Map(Array.from({ length: 7 }, (_, day) => {
  const name = (weekday) => new Intl.DateTimeFormat(LANGUAGE, { weekday, timeZone: "UTC" }).format(Date.UTC(2024, 0, 1 + day));
  return [name("long"), name("narrow")];
}));
const charts = new Map(); // canvas -> Chart

// Return a colour of the page's tokens.
function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

function number(value) {
  return localDigits(String(Math.round(value)));
}

// Return seconds as hours:minutes.
function duration(seconds) {
  const minutes = Math.round(seconds / 60);
  return localDigits([Math.floor(minutes / 60), minutes % 60].map((part) => String(part).padStart(2, "0")).join(":"));
}

// Return the seconds between two grid lines, so that there are at most six of them.
function timeStep(longest) {
  const steps = [60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800];
  return steps.find((step) => longest / step <= 6) ?? 86400;
}

function shorten(label, isHorizontal, isNarrow) {
  if (isNarrow && WEEKDAY_LETTERS.has(label)) return WEEKDAY_LETTERS.get(label);
  const longest = isHorizontal ? 18 : 12;
  return label.length > longest ? `${label.slice(0, longest - 1)}…` : label;
}

function readSeries(head, column, rows) {
  const cells = rows.map((row) => row.cells[column]);
  return {
    label: head.textContent.trim(),
    colour: head.dataset.colour,
    values: cells.map((cell) => (cell.dataset.value === undefined ? null : Number(cell.dataset.value))),
    texts: cells.map((cell) => cell.textContent.trim()),
  };
}

function readTable(canvas) {
  const table = document.getElementById(canvas.dataset.table);
  const heads = [...table.tHead.rows[0].cells];
  const rows = [...table.tBodies[0].rows].slice(0, canvas.dataset.chart === "across" ? MAX_BARS : undefined);
  return {
    labels: rows.map((row) => row.cells[0].dataset.short ?? row.cells[0].textContent.trim()),
    series: heads.flatMap((head, column) => (head.dataset.colour ? [readSeries(head, column, rows)] : [])),
  };
}

function dataset(series, kind, hasFewPoints) {
  const painted = colour(series.colour);
  const common = { label: series.label, data: series.values, texts: series.texts, backgroundColor: painted };
  if (kind !== "line") return { ...common, maxBarThickness: 36 };
  return { ...common, borderColor: painted, borderWidth: 2, pointRadius: hasFewPoints ? 3 : 1.5, spanGaps: false, tension: 0 };
}

function valueAxis(canvas, series, isHorizontal, stacked) {
  const isTime = canvas.dataset.unit === "time";
  const longest = Math.max(60, ...series.flatMap(({ values }) => values));
  return {
    stacked,
    beginAtZero: true,
    grid: { color: colour("line") },
    border: { display: false },
    ticks: {
      color: colour("soft"),
      font: FONT,
      precision: 0,
      maxTicksLimit: isHorizontal ? 6 : 7,
      callback: (value) => (isTime ? duration(value) : number(value)),
      ...(isTime ? { stepSize: timeStep(longest) } : {}),
    },
  };
}

function labelAxis(canvas, labels, isHorizontal, stacked) {
  return {
    stacked,
    grid: { display: false },
    border: { color: colour("line") },
    ticks: {
      color: colour("soft"),
      font: FONT,
      autoSkip: !isHorizontal && labels.length > 7,
      maxRotation: 0,
      autoSkipPadding: 14,
      callback: (index) => shorten(labels[index], isHorizontal, canvas.clientWidth < NARROW),
    },
  };
}

function options(canvas, { labels, series }) {
  const isHorizontal = canvas.dataset.chart === "across";
  const stacked = isHorizontal || canvas.dataset.chart === "stacked";
  const values = valueAxis(canvas, series, isHorizontal, stacked);
  const names = labelAxis(canvas, labels, isHorizontal, stacked);
  const [x, y] = isHorizontal ? [values, names] : [names, values];
  return {
    animation: false,
    responsive: true,
    maintainAspectRatio: false,
    indexAxis: isHorizontal ? "y" : "x",
    interaction: { mode: "index", intersect: false, axis: isHorizontal ? "y" : "x" },
    scales: { x: { ...x, reverse: IS_RTL }, y: { ...y, position: IS_RTL ? "right" : "left" } },
    plugins: {
      legend: {
        ...DIRECTION,
        display: series.length > 1,
        position: "bottom",
        labels: { color: colour("ink"), font: FONT, boxWidth: 12, boxHeight: 12 },
      },
      tooltip: {
        ...DIRECTION,
        titleFont: { ...FONT, weight: "bold" },
        bodyFont: FONT,
        backgroundColor: colour("ink"),
        titleColor: colour("surface"),
        bodyColor: colour("surface"),
        callbacks: { label: (item) => `${item.dataset.label}: ${item.dataset.texts[item.dataIndex]}` },
      },
    },
  };
}

function draw(canvas) {
  charts.get(canvas)?.destroy();
  const kind = canvas.dataset.chart;
  const table = readTable(canvas);
  const { labels, series } = table;
  if (kind === "across") canvas.parentElement.style.height = `${Math.max(140, 70 + 30 * labels.length)}px`;
  const datasets = series.map((one) => dataset(one, kind, labels.length <= 31));
  const type = kind === "line" ? "line" : "bar";
  charts.set(canvas, new Chart(canvas, { type, data: { labels, datasets }, options: options(canvas, table) }));
  canvas.dataset.drawn = String(labels.length);
}

function drawAll() {
  for (const [canvas, chart] of charts) {
    if (canvas.isConnected) continue;
    chart.destroy();
    charts.delete(canvas);
  }
  for (const canvas of document.querySelectorAll("canvas[data-table]")) draw(canvas);
}

// Draw again when the theme changes, and for the first time when the font is there.
new MutationObserver(drawAll).observe(document.documentElement, { attributeFilter: ["data-bs-theme"] });
document.addEventListener("htmx:after:swap", drawAll);
document.fonts.load(`12px ${FONT.family}`).then(drawAll, drawAll);
