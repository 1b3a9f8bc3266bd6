// Draws each figure[data-chart] of the page, also those that htmx brings; the table below it has the same values.
(() => {
  const HEIGHT = 180;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const drawn = new Map(); // element -> its chart

  const utc = (seconds) => uPlot.tzDate(new Date(seconds * 1e3), "Etc/UTC");
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const day = uPlot.fmtDate("{MM}-{DD}");
  const hour = uPlot.fmtDate("{MM}-{DD} {HH}h");
  const short = new Intl.NumberFormat("en", { notation: "compact" });
  const whole = new Intl.NumberFormat("en");

  // Middles of the periods that have room for a word below them.
  const named = (at, step, width) => {
    const apart = Math.ceil((at[at.length - 1] - at[0] + 2 * step) / step / (width / 80)) * step;
    return Array.from({ length: Math.floor((at[at.length - 1] - at[0]) / apart) + 1 }, (_, n) => at[0] + n * apart);
  };

  const options = (plot, { at, step, name }) => {
    const axis = { stroke: colour("--quiet"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line"), width: 1 } };
    const label = uPlot.fmtDate(step > 3600 ? "{YYYY}-{MM}-{DD}" : "{YYYY}-{MM}-{DD} {HH}:00");
    return {
      width: plot.clientWidth,
      height: HEIGHT,
      tzDate: utc,
      cursor: { drag: { x: false, y: false } },
      scales: {
        x: { range: () => [at[0] - step, at[at.length - 1] + step] },
        y: { range: (_, least, most) => [Math.min(0, least), most * 1.05 || 1] },
      },
      axes: [
        { ...axis, splits: (chart) => named(at, step, chart.width), values: (_, ticks) => ticks.map((tick) => (step > 3600 ? day : hour)(utc(tick))) },
        { ...axis, size: 56, values: (_, ticks) => ticks.map((tick) => short.format(tick)) },
      ],
      series: [
        { label: "From", value: (_, seconds) => (seconds == null ? "–" : label(utc(seconds))) },
        {
          label: name,
          fill: colour("--chart"),
          paths: uPlot.paths.bars({ size: [0.85, 48] }),
          points: { show: false },
          value: (_, value) => (value == null ? "–" : whole.format(value)),
        },
      ],
    };
  };

  const draw = (figure) => {
    const plot = figure.querySelector(".plot");
    const data = JSON.parse(figure.dataset.chart);
    drawn.get(figure)?.destroy();
    plot.hidden = false;
    drawn.set(figure, new uPlot(options(plot, data), [data.at, data.values], plot));
  };

  const resized = new ResizeObserver((entries) => {
    for (const { target } of entries) drawn.get(target)?.setSize({ width: target.querySelector(".plot").clientWidth, height: HEIGHT });
  });

  const look = () => {
    for (const figure of drawn.keys()) if (!figure.isConnected) drawn.delete(figure);
    for (const figure of document.querySelectorAll("figure[data-chart]"))
      if (!drawn.has(figure) || !figure.querySelector("canvas")) {
        draw(figure);
        resized.observe(figure);
      }
  };

  dark.addEventListener("change", () => [...drawn.keys()].forEach(draw));
  new MutationObserver(look).observe(document.getElementById("main"), { childList: true, subtree: true });
  look();
})();
